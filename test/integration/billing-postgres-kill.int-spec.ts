import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '@app/testing';
import { expect, inject, it } from 'vitest';
import { runLedgerAudit } from '../../src/billing/audit/ledger-audit.js';
import { startEmbeddedPostgres } from '../../src/database/embedded-postgres.js';
import {
  booksOf,
  chat,
  connect,
  fund,
  identityOf,
  plannedTarget,
  planOf,
  startMachine,
  targetOf,
  userId,
} from './billing-support.js';

const LANES = 8;

interface Outcome {
  readonly promised: number;
  /** Promised, and not in the ledger or with another amount. */
  readonly lost: number;
  readonly booked: number;
  readonly held: bigint;
  readonly mismatches: number;
}

/** The server and everything it started. */
function processesOf(postmaster: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=']).toString().trim().split('\n');
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number));
  return [postmaster, ...pairs.flatMap(([pid, parent]) => (parent === postmaster && pid ? [pid] : []))];
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // gone with its postmaster
    }
  }
}

/**
 * Serves from many sides while the whole server is killed again and again, then compares promises and books.
 * @param durable  whether the server waits for its log before it says that something is committed
 */
async function storm(kills: number, durable: boolean): Promise<Outcome> {
  const dataDir = join(inject('runDirectory'), `postgres-kill-${userId()}`);
  const postgres = await startEmbeddedPostgres({ dataDir, fsync: durable });
  const dataSource = await connect(postgres.url, 8);
  await dataSource.runMigrations();
  const machine = await startMachine(dataSource, { outageCreditNanoUsd: 0n });
  const users = [userId(), userId()];
  for (const user of users) await fund(dataSource, user, 1_000_000_000_000n);
  const promised = new Map<string, bigint>();
  const target = plannedTarget({ maxOutputTokens: 20 });
  let isRunning = true;

  async function serve(lane: number): Promise<void> {
    while (isRunning) {
      const identity = identityOf(users[lane % users.length] ?? '');
      const session = machine.sessions.open(identity);
      try {
        await session.hold(machine.quoter.quote(planOf(target), chat('hi', { max_tokens: 20 }), false));
        await sleep(2);
        const usage = { inputTokens: 5, outputTokens: 1 + lane };
        const charge = await session.settle({
          kind: 'usage',
          target: targetOf(target),
          usage,
          source: 'provider',
        });
        promised.set(identity.billingId, charge.costNanoUsd);
      } catch {
        await sleep(20);
      }
    }
  }

  const postmaster = async (): Promise<number | undefined> => {
    const [row] = await dataSource.query<{ pid: number }[]>('SELECT pg_backend_pid() AS pid');
    return row && Number(execFileSync('ps', ['-o', 'ppid=', '-p', String(row.pid)]).toString());
  };
  const served = async (): Promise<void> => {
    const before = promised.size;
    await eventually('requests to be served', () => promised.size > before + 30, 30_000);
  };

  const lanes = Array.from({ length: LANES }, (_, lane) => serve(lane));
  for (let kill = 0; kill < kills; kill += 1) {
    await served();
    killAll(processesOf(await eventually('the postmaster', postmaster)));
  }
  await served();
  isRunning = false;
  await Promise.all(lanes);
  await eventually('everything to be booked', () => machine.settler.pending === 0, 20_000);
  await machine.forgotten.tend(machine.sessions.holdingIds(), [], 0);
  await machine.settler.drain({ timeoutMs: 5000 });

  const rows = await dataSource.query<{ id: string; charged: string }[]>(
    "SELECT id, -amount_nano AS charged FROM ledger WHERE kind = 'charge'",
  );
  const booked = new Map(rows.map((row) => [row.id, BigInt(row.charged)]));
  const books = await Promise.all(users.map((user) => booksOf(dataSource, user)));
  const { mismatches } = await runLedgerAudit(dataSource);
  await machine[Symbol.asyncDispose]();
  await dataSource.destroy();
  await postgres.stop();
  return {
    promised: promised.size,
    lost: [...promised].filter(([id, cost]) => booked.get(id) !== cost).length,
    booked: booked.size,
    held: books.reduce((sum, { held }) => sum + held, 0n),
    mismatches: mismatches.length,
  };
}

it(
  'Postgres killed -9 again and again under load: every promise is kept, once',
  { timeout: 90_000 },
  async () => {
    const { promised, ...outcome } = await storm(3, true);
    expect(outcome).toEqual({ lost: 0, booked: promised, held: 0n, mismatches: 0 });
  },
);
