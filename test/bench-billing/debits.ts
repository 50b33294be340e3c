import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { Pool } from 'pg';
import { runLedgerAudit } from '../../src/billing/audit/ledger-audit.js';
import { HOLD_SIMPLE } from '../../src/billing/holds/hold-statements.js';
import { MoneyDatabase } from '../../src/billing/money-database.js';
import { SETTLE_ONE } from '../../src/billing/settle/settle-statements.js';
import { startEmbeddedPostgres } from '../../src/database/embedded-postgres.js';
import {
  type BillingMachine,
  chat,
  connect,
  identityOf,
  plannedTarget,
  planOf,
  startMachine,
  targetOf,
} from '../integration/billing-machine.js';

/**
 * Requests charged per second, three ways side by side: on a thousand accounts and on one hot account, 64 callers, on a
 * real PostgreSQL that waits for its disk. Ways take turns, so that a busy moment of the machine hits all of them.
 *
 *   node --import ./test/support/typescript-hooks.mjs test/bench-billing/debits.ts [seconds per turn] [turns] [callers]
 */
const SECONDS = Number(process.argv[2] ?? 2);
const TURNS = Number(process.argv[3] ?? 3);
const CALLERS = Number(process.argv[4] ?? 64);
const CONNECTIONS = 16;
const ACCOUNTS = 1000;

Logger.overrideLogger(false);
const directory = await mkdtemp(join(tmpdir(), 'bench-billing-'));
const postgres = await startEmbeddedPostgres({ dataDir: directory, fsync: true });
const dataSource = await connect(postgres.url, CONNECTIONS);
await dataSource.runMigrations();
await dataSource.query(
  `CREATE TABLE naive_account (id text PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
   CREATE TABLE naive_ledger (id uuid PRIMARY KEY, account text NOT NULL, amount bigint NOT NULL, balance_after bigint NOT NULL)`,
);
for (const table of ['account (user_id, balance_nano)', 'naive_account (id, balance)']) {
  await dataSource.query(
    `INSERT INTO ${table} SELECT 'u' || i, 4000000000000000 FROM generate_series(0, ${ACCOUNTS - 1}) i`,
  );
}
await dataSource.query(
  `INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description)
   SELECT gen_random_uuid(), user_id, 'topup', 'deposits', balance_nano, balance_nano, 'bench' FROM account`,
);

const pool = new Pool({ connectionString: postgres.url, max: CONNECTIONS });
const machine = await startMachine(dataSource, {}, directory);
let statements = 0;
const counted = Object.getOwnPropertyDescriptor(MoneyDatabase.prototype, 'query')
  ?.value as MoneyDatabase['query'];
machine.database.query = (sql, parameters) => {
  statements += 1;
  return counted.call(machine.database, sql, parameters) as never;
};

type Way = (machine: BillingMachine, user: string) => Promise<void>;
const USAGE = { inputTokens: 11, outputTokens: 7 };
const target = plannedTarget();
const quote = machine.quoter.quote(planOf(target), chat('hello', { max_tokens: 100 }), false);
const request = chat('hello', { max_tokens: 100 });
const plan = planOf(target);

const WAYS: Readonly<Record<string, Way>> = {
  'transaction of five round trips, debit only': async (_machine, user) => {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      const { rows } = await client.query<{ balance: string }>(
        'SELECT balance FROM naive_account WHERE id = $1 FOR UPDATE',
        [user],
      );
      const after = BigInt(rows[0]?.balance ?? 0) - 25_000n;
      await client.query('UPDATE naive_account SET balance = $2 WHERE id = $1', [user, after.toString()]);
      await client.query('INSERT INTO naive_ledger VALUES ($1, $2, $3, $4)', [
        randomUUID(),
        user,
        -25_000,
        after.toString(),
      ]);
      await client.query('COMMIT');
    } finally {
      client.release();
    }
  },
  'hold and settle, a statement each': async (_machine, user) => {
    const { billingId } = identityOf(user);
    const { instance } = machine;
    const hold = ['300000', user, '300000', billingId, billingId, 'echo', false, '[]', '300000', instance.id];
    await pool.query(HOLD_SIMPLE, [...hold, null, null, 900_000]);
    const settlement = [billingId, false, '25000', '25000', 'usage', '[]', JSON.stringify(USAGE), 'provider'];
    const prices = ['echo', 'echo', target.priceVersion, null, 'bench'];
    await pool.query(SETTLE_ONE, [...settlement, ...prices]);
  },
  'the gateway: batched hold, journal, batched settlement': async (_machine, user) => {
    const session = machine.sessions.open(identityOf(user));
    await session.hold(machine.quoter.quote(plan, request, false));
    await session.settle({ kind: 'usage', target: targetOf(target), usage: USAGE, source: 'provider' });
  },
};
const THE_GATEWAY = Object.keys(WAYS)[2];

interface Turn {
  readonly perSecond: number;
  readonly cpuMicroseconds: number;
  readonly statementsPerRequest: number;
}

async function turn(name: string, way: Way, userOf: (index: number) => string): Promise<Turn> {
  const cpu = process.cpuUsage();
  const started = performance.now();
  const deadline = started + SECONDS * 1000;
  statements = 0;
  let done = 0;
  let next = 0;
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      while (performance.now() < deadline) {
        next += 1;
        await way(machine, userOf(next));
        done += 1;
      }
    }),
  );
  // A promise that is not booked yet is work not done yet.
  if (name === THE_GATEWAY) await machine.settler.drain({ timeoutMs: 60_000 });
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    perSecond: done / seconds,
    cpuMicroseconds: (user + system) / done,
    statementsPerRequest: statements / done,
  };
}

const median = (values: readonly number[]): number =>
  values.toSorted((left, right) => left - right)[values.length >> 1] ?? 0;
const PAYERS: readonly (readonly [string, (index: number) => string])[] = [
  [`${ACCOUNTS} accounts`, (index) => `u${(index * 7919) % ACCOUNTS}`],
  ['1 hot account', () => 'u0'],
];

await machine.prices.store();
console.log(`${CALLERS} callers, ${CONNECTIONS} connections, ${TURNS} turns of ${SECONDS} s, fsync on\n`);
for (const [payers, userOf] of PAYERS) {
  const results = new Map<string, Turn[]>(Object.keys(WAYS).map((name) => [name, []]));
  for (const [name, way] of Object.entries(WAYS)) await turn(name, way, userOf);
  for (let round = 0; round < TURNS; round += 1) {
    for (const [name, way] of Object.entries(WAYS)) results.get(name)?.push(await turn(name, way, userOf));
  }
  console.log(payers);
  const base = median(results.get(Object.keys(WAYS)[0] ?? '')?.map(({ perSecond }) => perSecond) ?? []);
  for (const [name, turns] of results) {
    const rate = median(turns.map(({ perSecond }) => perSecond));
    const cpu = median(turns.map(({ cpuMicroseconds }) => cpuMicroseconds));
    const each = median(turns.map(({ statementsPerRequest }) => statementsPerRequest));
    const extra = name === THE_GATEWAY ? `, ${each.toFixed(3)} statements a request` : '';
    console.log(
      `  ${rate.toFixed(0).padStart(6)}/s  ${(rate / base).toFixed(2)}x  ${cpu.toFixed(0)} us CPU of node  ${name}${extra}`,
    );
  }
}

console.log('\none request after the other, alone');
for (const [name, way] of Object.entries(WAYS)) {
  const times: number[] = [];
  statements = 0;
  for (let index = 0; index < 300; index += 1) {
    const started = performance.now();
    await way(machine, `u${index}`);
    times.push(performance.now() - started);
  }
  await machine.settler.drain({ timeoutMs: 10_000 });
  const extra = name === THE_GATEWAY ? `, ${(statements / 300).toFixed(2)} statements a request` : '';
  console.log(`  ${median(times).toFixed(2)} ms  ${name}${extra}`);
}
const quoted = performance.now();
for (let index = 0; index < 20_000; index += 1) machine.quoter.quote(plan, request, false);
console.log(
  `  quote: ${(((performance.now() - quoted) / 20_000) * 1000).toFixed(1)} us (${quote.inputTokensBound} tokens bound)`,
);

const audit = await runLedgerAudit(dataSource);
console.log(`\naudit: ${JSON.stringify(audit.checked)} ${audit.ok ? 'ok' : JSON.stringify(audit.checks)}`);
await machine.journal.close();
await pool.end();
await dataSource.destroy();
await postgres.stop();
await rm(directory, { recursive: true, force: true });
