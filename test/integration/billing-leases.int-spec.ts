import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { exactJsonNumber, priceVersionOf } from '@app/money';
import type { GatewayError } from '@app/contracts';
import { eventually, FaultProxy } from '@app/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runLedgerAudit } from '../../src/billing/audit/ledger-audit.js';
import type { BillingSession } from '../../src/billing/billing-session.js';
import { type Booking, BookingsService } from '../../src/billing/bookings/bookings.service.js';
import { EXTEND_HOLD } from '../../src/billing/holds/hold-statements.js';
import { LOOK_FOR_FREE, RECALL_LEASES } from '../../src/billing/leases/lease-statements.js';
import {
  CREATE_MISSING_HOLDS,
  SETTLE_BATCH,
  SETTLE_LEASED,
} from '../../src/billing/settle/settle-statements.js';
import { ReportsService } from '../../src/billing/reports/reports.service.js';
import { MOST_UNBOOKED } from '../../src/billing/session/hold-taker.js';
import type { SettlementRecord } from '../../src/billing/settle/settlement-record.js';
import type { AppConfig } from '../../src/config/app-config.js';
import type { DatabaseService } from '../../src/database/database.service.js';
import type { PlannedTarget } from '../../src/routing/route-plan.js';
import {
  type BillingDatabase,
  type BillingMachine,
  booksOf,
  chat,
  connect,
  deadJournal,
  fund,
  identityOf,
  keyedRequest,
  openBillingDatabase,
  order,
  plannedTarget,
  planOf,
  settling,
  startMachine,
  targetOf,
  userId,
  unansweredAttempt,
  unknownCosts,
} from './billing-support.js';

const UNIT = 1_000_000_000n;
/** What `usage(10, 10)` costs. */
const COST = 30_000n;

let db: BillingDatabase;
let dataDir: string;
let machines: BillingMachine[];

beforeEach(async () => {
  db = await openBillingDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'billing-leases-'));
  machines = [];
});
afterEach(async () => {
  for (const machine of machines) await machine[Symbol.asyncDispose]();
  await db.close();
  await rm(dataDir, { recursive: true, force: true });
});

/** A gateway that has its prices in the database already, so that its users may have leases from their second request on. */
async function start(changes: Partial<AppConfig['billing']> = {}): Promise<BillingMachine> {
  const machine = await startMachine(db.dataSource, { leases: true, ...changes }, dataDir);
  machines.push(machine);
  machine.quoter.quote(planOf(plannedTarget()), chat('hi'), false);
  await machine.prices.store();
  return machine;
}

async function funded(nano: bigint): Promise<string> {
  const user = userId();
  await fund(db.dataSource, user, nano);
  return user;
}

function quoteOf(
  machine: BillingMachine,
  limits: { max_tokens?: number } = { max_tokens: 100 },
  stream = false,
) {
  const target: PlannedTarget = plannedTarget({ maxOutputTokens: 20_000 });
  return machine.quoter.quote(planOf(target), chat('hi', { ...limits, stream }), stream);
}

async function hold(
  machine: BillingMachine,
  user: string,
  tokens = 100,
  stream = false,
): Promise<BillingSession> {
  const session = machine.sessions.open(identityOf(user));
  await session.hold(quoteOf(machine, { max_tokens: tokens }, stream));
  return session;
}

const usage = (inputTokens = 10, outputTokens = 10) => ({
  kind: 'usage' as const,
  target: targetOf(plannedTarget()),
  usage: { inputTokens, outputTokens },
  source: 'provider' as const,
});

/** Serves a request from beginning to end, so that the next one of this user may have a lease. */
async function serve(machine: BillingMachine, user: string): Promise<void> {
  await (await hold(machine, user)).settle(usage());
}

/** Of a user who has a lease: a request in flight that holds of it. */
async function leased(
  machine: BillingMachine,
  user: string,
  tokens = 100,
  stream = false,
): Promise<BillingSession> {
  await serve(machine, user);
  return hold(machine, user, tokens, stream);
}

interface LeaseRow {
  id: string;
  instance_id: string;
  amount_nano: string;
}

const leasesOf = (user: string) =>
  db.dataSource.query<LeaseRow[]>('SELECT * FROM lease WHERE user_id = $1 ORDER BY id', [user]);

const amountLeased = async (user: string) =>
  (await leasesOf(user)).reduce((sum, row) => sum + BigInt(row.amount_nano), 0n);

async function holdRow(id: string) {
  const [row] = await db.dataSource.query<Record<string, unknown>[]>('SELECT * FROM hold WHERE id = $1', [
    id,
  ]);
  return row;
}

/** Everything that was settled is booked, nothing is reserved any more, and the books are right. */
async function expectCleanBooks(...users: string[]): Promise<void> {
  for (const machine of machines) {
    await machine.settler.drain({ timeoutMs: 3000 });
    await machine.leases.leave();
  }
  for (const user of users) {
    expect(await leasesOf(user)).toEqual([]);
    expect((await booksOf(db.dataSource, user)).held).toBe(0n);
  }
  const audit = await runLedgerAudit(db.dataSource, { recompute: false });
  expect(audit.mismatches).toEqual([]);
}

describe('an active user', () => {
  it('has money reserved ahead with the second request, and then holds of it without a statement', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const first = await hold(machine, user);
    expect(await leasesOf(user)).toEqual([]);
    expect(await holdRow(first.billingId)).toMatchObject({ state: 'open' });
    await first.settle(usage());

    const second = await hold(machine, user);
    expect(await holdRow(second.billingId)).toBeUndefined();
    const [row] = await leasesOf(user);
    expect(row).toMatchObject({ instance_id: machine.instance.id });

    const statements: string[] = [];
    const query = machine.database.query.bind(machine.database);
    machine.database.query = (sql, parameters) => {
      statements.push(sql);
      return query(sql, parameters);
    };
    const third = await hold(machine, user);
    expect(statements).toEqual([]);
    expect(await leasesOf(user)).toEqual([row]);
    await second.settle(usage());
    await third.settle(usage());
    await expectCleanBooks(user);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: UNIT - 3n * COST, charges: 3 });
  });

  it('sees as held what requests hold, and the rest as available', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const session = await leased(machine, user);
    await machine.settler.drain({ timeoutMs: 1000 });
    const bound = BigInt(String((await machine.accounts.require(user)).heldNano));
    expect(bound).toBe(machine.leases.heldNano(user));
    expect(bound).toBeGreaterThan(0n);
    expect((await booksOf(db.dataSource, user)).held).toBe(await amountLeased(user));
    expect(await amountLeased(user)).toBeGreaterThan(bound);
    await session.settle({ kind: 'release', reason: 'x' });
    expect(await machine.accounts.require(user)).toMatchObject({
      heldNano: 0n,
      availableNano: UNIT - COST,
      balanceNano: UNIT - COST,
    });
    await expectCleanBooks(user);
  });

  it('sees as held what requests of other instances hold, some seconds later, and as available what those keep ready', async () => {
    const [owner, other] = [await start(), await start()];
    const user = await funded(UNIT);
    const session = await leased(owner, user);
    await owner.settler.drain({ timeoutMs: 1000 });
    const heldNano = owner.leases.heldNano(user);
    expect(heldNano).toBeGreaterThan(0n);
    const reports = (machine: BillingMachine) =>
      new ReportsService(machine.database as unknown as DatabaseService, machine.settler, machine.leases);
    const answersOf = async (machine: BillingMachine) => {
      const { users } = await reports(machine).users(user, 1, 0);
      const account = await machine.accounts.require(user);
      expect(users[0]).toMatchObject({
        held: exactJsonNumber(account.heldNano),
        available: exactJsonNumber(account.availableNano),
      });
      return account;
    };
    const inFlight = { heldNano, availableNano: UNIT - COST - heldNano, balanceNano: UNIT - COST };
    await owner.leases.tend();
    expect(await answersOf(owner)).toMatchObject(inFlight);
    expect(await answersOf(other)).toMatchObject(inFlight);

    // Its own requests it knows at once; others hear of it no more than once in two seconds.
    const second = await hold(owner, user);
    await owner.leases.tend();
    expect(await answersOf(owner)).toMatchObject({ heldNano: 2n * heldNano });
    expect(await answersOf(other)).toMatchObject(inFlight);
    await second.settle({ kind: 'release', reason: 'x' });
    await session.settle({ kind: 'release', reason: 'x' });
    const nowMs = performance.now();
    vi.spyOn(performance, 'now').mockImplementation(() => nowMs + 2001);
    await owner.leases.tend();
    vi.restoreAllMocks();
    const ended = { heldNano: 0n, availableNano: UNIT - COST };
    expect(await answersOf(owner)).toMatchObject(ended);
    expect(await answersOf(other)).toMatchObject(ended);
    await expectCleanBooks(user);
  });

  it('is told of later when its lease is being changed at that moment: nobody waits for that', async () => {
    const [owner, other] = [await start(), await start()];
    const user = await funded(UNIT);
    const session = await leased(owner, user);
    await owner.settler.drain({ timeoutMs: 1000 });
    await db.dataSource.transaction(async (manager) => {
      await manager.query('SELECT FROM lease WHERE user_id = $1 FOR UPDATE', [user]);
      await owner.leases.tend();
      expect(await other.accounts.require(user)).toMatchObject({ heldNano: 0n });
    });
    await owner.leases.tend();
    expect(await other.accounts.require(user)).toMatchObject({ heldNano: owner.leases.heldNano(user) });
    await session.settle(usage());
    await expectCleanBooks(user);
  });

  it('is charged out of the lease, which shrinks by the charge alone', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const session = await leased(machine, user);
    await machine.settler.drain({ timeoutMs: 1000 });
    const before = await amountLeased(user);
    session.attempt({
      provider: 'echo',
      upstreamModel: 'echo',
      outcome: 'ok',
      upstreamStatus: 200,
      providerRequestId: 'p-1',
      durationMs: 1,
    });
    const startedMs = Date.now();
    expect(await session.settle(usage())).toEqual({ costNanoUsd: COST });
    await machine.settler.drain({ timeoutMs: 1000 });
    expect(await amountLeased(user)).toBe(before - COST);
    const row = await holdRow(session.billingId);
    expect(row).toMatchObject({
      user_id: user,
      state: 'captured',
      captured_nano: COST.toString(),
      shortfall_nano: '0',
      outcome: 'usage',
      instance_id: machine.instance.id,
      model: 'echo',
      attempts: [{ providerRequestId: 'p-1' }],
    });
    expect(Math.abs(Number(row?.['created_at']) - startedMs)).toBeLessThan(1000);
    await expectCleanBooks(user);
  });

  it('gets back at once what a request did not use, and the receipt of a released one is there', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const session = await leased(machine, user);
    session.attempt(unansweredAttempt('timeout'));
    await session.settle({ kind: 'release', reason: 'timeout' });
    expect(machine.leases.heldNano(user)).toBe(0n);
    await machine.settler.drain({ timeoutMs: 1000 });
    expect(await holdRow(session.billingId)).toMatchObject({ state: 'released', outcome: 'timeout' });
    expect(await unknownCosts(db.dataSource, session.billingId)).toEqual([
      { attempt: 1, provider: 'echo', reason: 'timeout' },
    ]);
    await expectCleanBooks(user);
  });

  it('pays an overrun from what is free, up to the ceiling', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const session = await leased(machine, user, 100);
    const bound = machine.leases.heldNano(user);
    await session.settle(usage(10, 100_000));
    await expectCleanBooks(user);
    const ceiling = (bound * 110n) / 100n;
    expect(await holdRow(session.billingId)).toMatchObject({ captured_nano: ceiling.toString() });
    expect((await booksOf(db.dataSource, user)).balance).toBe(UNIT - COST - ceiling);
  });

  it('with an Idempotency-Key, or where nothing is served that the database has not agreed to, has none', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    await serve(machine, user);
    const identity = identityOf(user);
    await machine.idempotency.begin(keyedRequest(user, identity.billingId, 'k'));
    const session = machine.sessions.open(identity);
    await session.hold(quoteOf(machine));
    expect(await holdRow(session.billingId)).toMatchObject({ state: 'open', idem_key: 'k' });
    await session.settle({ kind: 'release', reason: 'x' });

    const closed = await start({ outageMode: 'closed' });
    await serve(closed, user);
    await serve(closed, user);
    expect((await leasesOf(user)).filter((row) => row.instance_id === closed.instance.id)).toEqual([]);
    await expectCleanBooks(user);
  });
});

describe('what is reserved ahead', () => {
  it('is at most a fifth of what is free, and nothing when that is not worth it', async () => {
    const machine = await start();
    const bound = await boundOf(machine);
    const [some, poor] = [await funded(COST + bound * 30n), await funded(COST + bound * 9n)];
    for (const user of [some, poor]) await serve(machine, user);
    await machine.settler.drain({ timeoutMs: 1000 });
    const sessions = [await hold(machine, some), await hold(machine, poor)];
    expect(await amountLeased(some)).toBe(bound * 6n);
    expect(await leasesOf(poor)).toEqual([]);
    expect(await holdRow(sessions[1]?.billingId ?? '')).toMatchObject({ state: 'open' });
    for (const session of sessions) await session.settle({ kind: 'release', reason: 'x' });
    await expectCleanBooks(some, poor);
  });

  it('grows with the need, and whoever does not fit holds in the database', async () => {
    const machine = await start();
    const bound = await boundOf(machine);
    const user = await funded(COST + bound * 200n);
    await serve(machine, user);
    await machine.settler.drain({ timeoutMs: 1000 });
    const sessions: BillingSession[] = [];
    for (const count of [10, 20, 40, 120]) {
      sessions.push(...(await Promise.all(Array.from({ length: count }, () => hold(machine, user)))));
    }
    const { held } = await booksOf(db.dataSource, user);
    expect(held).toBeGreaterThanOrEqual(bound * 190n);
    const direct = await Promise.all(sessions.map((session) => holdRow(session.billingId)));
    expect(direct.filter((row) => row !== undefined).length).toBeGreaterThan(0);
    expect(direct.filter((row) => row === undefined).length).toBeGreaterThan(16);
    for (const session of sessions) await session.settle(usage());
    await expectCleanBooks(user);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ charges: 191 });
  });

  it('is never in the way of a request here: all but what is in flight can be spent by one', async () => {
    const machine = await start();
    const bound = await boundOf(machine);
    const user = await funded(UNIT);
    const running = await leased(machine, user);
    await machine.settler.drain({ timeoutMs: 1000 });
    const rest = UNIT - COST - bound;
    const large = order(user, rest);
    expect((await machine.holds.hold(large)).amountNano).toBe(rest);
    await expect(machine.holds.hold(order(user, 1n))).rejects.toMatchObject({ code: 'balance_reserved' });
    await running.settle(usage());
    machine.settler.enqueue(settling(large, 5n));
    await expectCleanBooks(user);
  });

  it('is recalled from other instances by a request that needs it', async () => {
    const [holder, asker] = [await start(), await start()];
    const user = await funded(UNIT);
    await (await leased(holder, user)).settle(usage());
    await holder.settler.drain({ timeoutMs: 1000 });
    const all = UNIT - 2n * COST;
    // An owner that does nothing keeps it: the money is not taken from it, and the answer is "reserved", not "gone".
    await expect(asker.holds.hold(order(user, all))).rejects.toMatchObject({
      code: 'balance_reserved',
      message: expect.stringMatching(/required 0\.99994, available 0\.99[0-8]/) as string,
    });
    const large = order(user, all);
    const grant = await tendDuring(asker.holds.hold(large), holder);
    expect(grant.amountNano).toBe(all);
    asker.settler.enqueue(settling(large, 0n, { release: true }));
    await expectCleanBooks(user);
  });

  it.each(['hold', 'adjustment'])(
    'is recalled from whoever takes some while others give theirs back: %s',
    async (what) => {
      const [holder, asker, third] = [await start(), await start(), await start()];
      const user = await funded(UNIT);
      for (const machine of [holder, third]) await serve(machine, user);
      await (await hold(holder, user)).settle(usage());
      for (const machine of [holder, third]) await machine.settler.drain({ timeoutMs: 1000 });
      const all = UNIT - 3n * COST;
      const large = order(user, all);
      const bookings = new BookingsService(asker.database, asker.accounts, asker.leases);
      const asking =
        what === 'hold'
          ? asker.holds.hold(large)
          : bookings.book({
              userId: user,
              kind: 'adjustment',
              amountNano: -all,
              description: 'all of it',
              idempotencyKey: undefined,
              actor: 'admin',
            });
      await new Promise((resolve) => setTimeout(resolve, 200));
      await (await hold(third, user)).settle({ kind: 'release', reason: 'x' });
      expect(await leasesOf(user)).toHaveLength(2);
      await tendDuring<unknown>(asking, holder, third);
      if (what === 'hold') asker.settler.enqueue(settling(large, 0n, { release: true }));
      await expectCleanBooks(user);
    },
  );

  it.each([false, true])('lowers no limit of a request that named none: streamed %s', async (isStream) => {
    const [here, elsewhere] = [await start(), await start()];
    const user = await funded(45_000_000n);
    for (const machine of [here, elsewhere]) {
      await serve(machine, user);
      await machine.settler.drain({ timeoutMs: 1000 });
      const some = await Promise.all(Array.from({ length: 30 }, () => hold(machine, user)));
      for (const session of some) await session.settle({ kind: 'release', reason: 'x' });
      await machine.settler.drain({ timeoutMs: 1000 });
    }
    expect((await leasesOf(user)).map((row) => row.instance_id)).toEqual([
      here.instance.id,
      elsewhere.instance.id,
    ]);
    const identity = identityOf(user);
    await here.idempotency.begin(keyedRequest(user, identity.billingId, 'k'));
    const session = here.sessions.open(identity);
    const quote = quoteOf(here, {}, isStream);
    const granted = await tendDuring(Promise.resolve(session.hold(quote)), elsewhere);
    expect(granted).toEqual({ maxOutputTokens: undefined });
    await session.settle(usage());
    await expectCleanBooks(user);
  });

  it('is waited for once by requests that named no limit: who does not give it back is using it', async () => {
    const [here, elsewhere] = [await start(), await start()];
    const user = await funded(42_000_000n);
    const running = await leased(elsewhere, user, 1500);
    const looks: number[] = [];
    const query = here.database.query.bind(here.database);
    for (const _ of [1, 2]) {
      let count = 0;
      here.database.query = (sql, parameters) => {
        if (sql === LOOK_FOR_FREE) count += 1;
        return query(sql, parameters);
      };
      const session = here.sessions.open(identityOf(user));
      const granted = await tendDuring(Promise.resolve(session.hold(quoteOf(here, {}))), elsewhere);
      expect(granted.maxOutputTokens).toBeGreaterThan(17_000);
      await session.settle({ kind: 'release', reason: 'x' });
      await here.settler.drain({ timeoutMs: 1000 });
      looks.push(count);
    }
    expect(looks).toEqual([6, 1]);
    await running.settle({ kind: 'release', reason: 'x' });
    await expectCleanBooks(user);
  });

  it('is left alone by a top-up that is sent again: it waits for no money', async () => {
    const [holder, asker] = [await start(), await start()];
    const user = await funded(UNIT);
    for (const machine of [holder, asker]) await (await leased(machine, user)).settle(usage());
    const bookings = new BookingsService(asker.database, asker.accounts, asker.leases);
    const topUp = (): Promise<Booking> =>
      bookings.book({
        userId: user,
        kind: 'topup',
        amountNano: 5n,
        description: 'twice',
        idempotencyKey: 'invoice-1',
        actor: 'admin',
      });
    expect((await topUp()).isReplay).toBe(false);
    expect((await topUp()).isReplay).toBe(true);
    expect(await leasesOf(user)).toHaveLength(2);
    expect(await db.dataSource.query('SELECT id FROM lease WHERE recalled')).toEqual([]);
  });

  it('is recalled by an administrator’s adjustment, here and elsewhere', async () => {
    const [holder, asker] = [await start(), await start()];
    const user = await funded(UNIT);
    for (const machine of [holder, asker]) {
      await (await leased(machine, user)).settle(usage());
      await machine.settler.drain({ timeoutMs: 1000 });
    }
    const { availableNano } = await asker.accounts.require(user);
    expect(availableNano).toBe(UNIT - 4n * COST);
    const bookings = new BookingsService(asker.database, asker.accounts, asker.leases);
    const adjust = (amountNano: bigint) =>
      bookings.book({
        userId: user,
        kind: 'adjustment',
        amountNano,
        description: 'all of it',
        idempotencyKey: undefined,
        actor: 'admin',
      });
    await expect(adjust(-availableNano - 1n)).rejects.toMatchObject({ code: 'invalid_body' });
    expect(await leasesOf(user)).toHaveLength(2);
    const booking = await tendDuring(adjust(-availableNano), holder);
    expect(booking.balanceAfterNano).toBe(0n);
    await expectCleanBooks(user);
  });

  it('comes back when nobody uses it, and when the process ends', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    await (await leased(machine, user)).settle(usage());
    await machine.settler.drain({ timeoutMs: 1000 });
    await machine.leases.tend();
    expect(await leasesOf(user)).toHaveLength(1);
    await machine.leases.tend(0);
    expect(await leasesOf(user)).toEqual([]);

    const session = await leased(machine, user);
    await machine.settler.drain({ timeoutMs: 1000 });
    await machine.leases.tend(0);
    // In use: what is free of it is back, the rest stays until the request is booked.
    expect(await amountLeased(user)).toBe(machine.leases.heldNano(user));
    await session.settle(usage());
    await machine.upkeep.beforeApplicationShutdown();
    expect(await leasesOf(user)).toEqual([]);
    expect(machine.events.filter(({ kind }) => kind === 'orphan-released')).toEqual([]);
    await expectCleanBooks(user);
  });

  it('is renewed while its owner lives, and not used when it could not be', async () => {
    const machine = await start({ holdTtlMs: 1000 });
    const user = await funded(UNIT);
    await (await leased(machine, user)).settle(usage());
    await machine.settler.drain({ timeoutMs: 1000 });
    await tendFor(machine, 1200);
    expect(await leasesOf(user)).toHaveLength(1);
    const session = await hold(machine, user);
    expect(await holdRow(session.billingId)).toBeUndefined();
    await session.settle({ kind: 'release', reason: 'x' });
    await tendFor(machine, 100);
    await new Promise((resolve) => setTimeout(resolve, 900));
    const late = await hold(machine, user);
    expect(await holdRow(late.billingId)).toMatchObject({ state: 'open' });
    await late.settle({ kind: 'release', reason: 'x' });
    await expectCleanBooks(user);
  });

  it('is renewed without a circle of locks with settlements, which lock accounts first', async () => {
    const machine = await start({ holdTtlMs: 4000 });
    const users = [await funded(UNIT), await funded(UNIT)];
    for (const user of users) await (await leased(machine, user)).settle(usage());
    await machine.settler.drain({ timeoutMs: 1000 });
    const ids = await db.dataSource.query<{ id: string; user_id: string }[]>(
      'SELECT * FROM lease ORDER BY ctid',
    );
    const settlement = db.dataSource.createQueryRunner();
    await settlement.startTransaction();
    const lock = `SELECT FROM account WHERE user_id = ANY($1) ORDER BY user_id FOR UPDATE`;
    await settlement.query(lock, [users]);
    // In the other order than a scan meets them.
    await settlement.query('UPDATE lease SET amount_nano = amount_nano WHERE id = $1', [ids[1]?.id]);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const renewing = machine.leases.tend();
    await new Promise((resolve) => setTimeout(resolve, 100));
    await settlement.query('UPDATE lease SET amount_nano = amount_nano WHERE id = $1', [ids[0]?.id]);
    await settlement.commitTransaction();
    await settlement.release();
    await renewing;
    const [row] = await db.dataSource.query<{ left: number }[]>(
      'SELECT min(extract(epoch FROM expires_at - now()))::float8 AS left FROM lease',
    );
    expect(row?.left).toBeGreaterThan(3.5);
    await expectCleanBooks(...users);
  });

  it('is not renewed for a request that is older than any may get: it comes back, and nothing here remembers it', async () => {
    const machine = await start({ holdTtlMs: 1000 });
    const user = await funded(UNIT);
    await leased(machine, user);
    await machine.settler.drain({ timeoutMs: 1000 });
    await machine.leases.recall(user);
    expect(machine.leases.heldNano(user)).toBeGreaterThan(0n);
    Object.assign(machine.config.timeouts, { requestMs: -600_000 });
    await tendFor(machine, 1200);
    await machine.upkeep.runOnce();
    expect(machine.events).toContainEqual({ kind: 'orphan-released', reason: 'timer', count: 1 });
    expect(machine.leases.heldNano(user)).toBe(0n);
    await expectCleanBooks(user);
  });

  it('does not grow while its term is over', async () => {
    const machine = await start({ holdTtlMs: 1000 });
    const user = await funded(UNIT);
    await (await leased(machine, user)).settle(usage());
    await machine.settler.drain({ timeoutMs: 1000 });
    const before = await amountLeased(user);
    await new Promise((resolve) => setTimeout(resolve, 900));
    for (let count = 0; count < 3; count += 1) {
      const late = await hold(machine, user);
      expect(await holdRow(late.billingId)).toMatchObject({ state: 'open' });
      await late.settle({ kind: 'release', reason: 'x' });
    }
    expect(await amountLeased(user)).toBe(before);
    await expectCleanBooks(user);
  });

  it('that nobody here knows of is given back', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const session = await leased(machine, user);
    const [own] = await leasesOf(user);
    await db.dataSource.query(
      `WITH made AS (INSERT INTO lease (id, user_id, instance_id, amount_nano, expires_at)
         VALUES ($1, $2, $3, 1000, now() + interval '1 hour'))
       UPDATE account SET held_nano = held_nano + 1000 WHERE user_id = $2`,
      [randomUUID(), user, machine.instance.id],
    );
    await machine.leases.tendForgotten();
    expect(await leasesOf(user)).toHaveLength(2);
    await machine.leases.tendForgotten(0);
    expect((await leasesOf(user)).map(({ id }) => id)).toEqual([own?.id]);
    await session.settle(usage());
    await expectCleanBooks(user);
  });

  it('is not asked for where nothing is reserved ahead', async () => {
    const machines = [await start(), await start({ leases: false }), await start({ outageMode: 'closed' })];
    const user = await funded(UNIT);
    await serve(machines[1] as BillingMachine, user);
    await serve(machines[1] as BillingMachine, user);
    for (const machine of machines) {
      await machine.settler.drain({ timeoutMs: 1000 });
      machine.database.query = () => Promise.reject(new Error('nobody needs to know'));
      await machine.leases.tend();
      await machine.leases.tendForgotten();
    }
  });

  it('is not taken twice by two streams that grow at once', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const streams = [await leased(machine, user, 20_000, true), await hold(machine, user, 20_000, true)];
    await machine.settler.drain({ timeoutMs: 1000 });
    expect(await Promise.all(streams.map((stream) => stream.covers(19_999)))).toEqual([true, true]);
    // Emptied, as after a recall: what more they need is reserved for them alone.
    await machine.leases.recall(user);
    const more = [await hold(machine, user, 20_000, true), await hold(machine, user, 20_000, true)];
    for (const stream of [...streams, ...more]) await stream.settle(usage(10, 19_000));
    await expectCleanBooks(user);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ charges: 5 });
  });

  it('is extended for running streams alone once it was recalled', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const streams = [await leased(machine, user, 20_000, true), await hold(machine, user, 20_000, true)];
    await machine.settler.drain({ timeoutMs: 1000 });
    await machine.leases.recall(user);
    const before = await amountLeased(user);
    expect(before).toBe(machine.leases.heldNano(user));
    expect(await Promise.all(streams.map((stream) => stream.covers(9_000)))).toEqual([true, true]);
    expect(await amountLeased(user)).toBe(machine.leases.heldNano(user));
    expect(await amountLeased(user)).toBeGreaterThan(before);
    for (const stream of streams) await stream.settle(usage(10, 9_000));
    await expectCleanBooks(user);
  });
});

describe('a stream', () => {
  it('whose lease another instance has called back gets its next slices all the same', async () => {
    const [holder, asker] = [await start(), await start()];
    const user = await funded(UNIT);
    const stream = await leased(holder, user, 20_000, true);
    await holder.settler.drain({ timeoutMs: 1000 });
    await asker.leases.recallElsewhere(user);
    await holder.leases.tend();
    expect(await amountLeased(user)).toBe(holder.leases.heldNano(user));
    expect(await stream.covers(19_999)).toBe(true);
    await stream.settle(usage(10, 19_999));
    await expectCleanBooks(user);
  });

  it('gets its next slice out of what is reserved ahead, here and elsewhere, when nothing else is free', async () => {
    const [here, elsewhere] = [await start(), await start()];
    const bound = await boundOf(here);
    const whole = 20_000n * 2000n;
    for (const isLeased of [false, true]) {
      const user = await funded(whole * 20n);
      if (isLeased) await serve(here, user);
      const stream = await hold(here, user, 20_000, true);
      expect((await holdRow(stream.billingId)) === undefined).toBe(isLeased);
      if (!isLeased) await serve(here, user);
      await serve(elsewhere, user);
      for (const machine of [here, elsewhere]) {
        for (const count of [40, 80, 160]) {
          const some = await Promise.all(Array.from({ length: count }, () => hold(machine, user)));
          for (const session of some) await session.settle({ kind: 'release', reason: 'x' });
        }
      }
      expect(await amountLeased(user)).toBeGreaterThan(bound * 100n);
      for (const machine of [here, elsewhere]) await machine.settler.drain({ timeoutMs: 1000 });
      const { balance, held } = await booksOf(db.dataSource, user);
      const rest = order(user, balance - held);
      await here.holds.hold(rest);
      expect(await leasesOf(user)).toHaveLength(2);
      const isCovered = await tendDuring(Promise.resolve(stream.covers(5000)), elsewhere);
      expect(isCovered).toBe(true);
      await stream.settle(usage(10, 5000));
      here.settler.enqueue(settling(rest, 0n, { release: true }));
      await expectCleanBooks(user);
    }
  });
});

describe('a stream that ends while it waits for its next slices', () => {
  it('holds no more of them', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const session = await leased(machine, user, 20_000, true);
    const extend = machine.leases.extend.bind(machine.leases);
    machine.leases.extend = async (lease, byNano) => {
      const isCovered = await extend(lease, byNano);
      await sleep(50);
      return isCovered;
    };
    const covers = session.covers(15_000);
    await session.settle(usage());
    expect(await covers).toBe(true);
    expect(machine.leases.heldNano(user)).toBe(0n);
    await expectCleanBooks(user);
  });
});

describe('settlements that come faster than one statement after the other', () => {
  it('go two hundred at once when they are of leases, and fifty when they are of holds', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const sessions = [await leased(machine, user)];
    while (sessions.length < 260) sessions.push(await hold(machine, user));
    const holds = Array.from({ length: 120 }, () => order(user, 10n));
    for (const one of holds) await machine.holds.hold(one);
    await machine.settler.drain({ timeoutMs: 5000 });
    const sizes = new Map<string, number[]>([
      [SETTLE_LEASED, []],
      [SETTLE_BATCH, []],
    ]);
    const query = machine.database.query.bind(machine.database);
    machine.database.query = (sql, parameters) => {
      sizes.get(sql)?.push((JSON.parse(String(parameters?.[0])) as unknown[]).length);
      return query(sql, parameters);
    };
    await Promise.all(sessions.map((session) => session.settle(usage())));
    for (const one of holds) machine.settler.enqueue(settling(one, 1n));
    await machine.settler.drain({ timeoutMs: 5000 });
    const [ofLeases = [], ofHolds = []] = [...sizes.values()];
    const sum = (each: number[]): number => each.reduce((whole, size) => whole + size, 0);
    expect([sum(ofLeases), sum(ofHolds)]).toEqual([260, 120]);
    expect([Math.max(...ofLeases), Math.max(...ofHolds)]).toEqual([200, 50]);
    await expectCleanBooks(user);
  });
});

describe('a database that books less than is settled', () => {
  it('is asked for every hold until it has caught up', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    await (await leased(machine, user)).settle(usage());
    const unbooked = vi.spyOn(machine.settler, 'pending', 'get').mockReturnValue(MOST_UNBOOKED);
    const waiting = await hold(machine, user);
    expect(await holdRow(waiting.billingId)).toMatchObject({ state: 'open' });
    unbooked.mockRestore();
    const free = await hold(machine, user);
    expect(await holdRow(free.billingId)).toBeUndefined();
    for (const session of [waiting, free]) await session.settle(usage());
    await expectCleanBooks(user);
  });
});

describe('a stream that runs out of money', () => {
  it('calls back what is reserved ahead once, however often it asks for its next slice', async () => {
    const machine = await start();
    const user = await funded(15_000_000n);
    const session = machine.sessions.open(identityOf(user));
    await session.hold(quoteOf(machine, {}, true));
    const { balance, held } = await booksOf(db.dataSource, user);
    const rest = order(user, balance - held);
    await machine.holds.hold(rest);
    const statements: string[] = [];
    const query = machine.database.query.bind(machine.database);
    machine.database.query = (sql, parameters) => {
      statements.push(sql);
      return query(sql, parameters);
    };
    for (let count = 0; count < 5; count += 1) {
      expect(await session.covers(4000)).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(statements.filter((sql) => sql === EXTEND_HOLD).length).toBeGreaterThan(4);
    expect(statements.filter((sql) => sql === RECALL_LEASES)).toHaveLength(1);
    await session.settle(usage(10, 4000));
    machine.settler.enqueue(settling(rest, 0n, { release: true }));
    await expectCleanBooks(user);
  });
});

describe('a settlement', () => {
  /** What a process that is no more had settled of a lease, and not booked. */
  async function deadLease(
    user: string,
    amountNano: bigint,
  ): Promise<{ record: SettlementRecord; dead: string }> {
    const leaseId = randomUUID();
    const base = settling(order(user, 1000n), 700n).record;
    const record = { ...base, lease_id: leaseId, leased: '1000', held_at: Date.now() };
    const dead = await deadJournal(dataDir, {}, { t: 'S', s: record });
    await db.dataSource.query(
      `WITH made AS (INSERT INTO lease (id, user_id, instance_id, amount_nano, expires_at)
         VALUES ($1, $2, $3, $4, now() + interval '1 hour'))
       UPDATE account SET held_nano = held_nano + $4 WHERE user_id = $2`,
      [leaseId, user, dead, amountNano.toString()],
    );
    return { record, dead };
  }

  it('of a process that died is booked from its journal; then, on that evidence, its lease is given back', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const { record } = await deadLease(user, 5000n);
    expect(await machine.accounts.require(user)).toMatchObject({ availableNano: UNIT });
    await machine.upkeep.runOnce();
    expect(await holdRow(record.id)).toMatchObject({ state: 'captured', captured_nano: '700' });
    expect(await leasesOf(user)).toEqual([]);
    await expectCleanBooks(user);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: UNIT - 700n, charges: 1 });
  });

  it('of a lease is booked though somebody has written down its hold and was interrupted', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const { record } = await deadLease(user, 5000n);
    await db.dataSource.query(CREATE_MISSING_HOLDS, [JSON.stringify([record])]);
    await machine.upkeep.runOnce();
    expect(await holdRow(record.id)).toMatchObject({ state: 'captured', captured_nano: '700' });
    await expectCleanBooks(user);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: UNIT - 700n, charges: 1 });
  });

  it('is booked once, however many processes send it at the same moment, and again', async () => {
    const [one, two] = [await start(), await start()];
    const user = await funded(UNIT);
    const { record } = await deadLease(user, 100_000n);
    for (let round = 0; round < 30; round += 1) {
      const again = { ...record, id: randomUUID() };
      const same = { record: again };
      one.settler.enqueue(same);
      two.settler.enqueue(same);
      one.settler.enqueue(same);
      await Promise.all([one, two].map((machine) => machine.settler.drain({ timeoutMs: 2000 })));
    }
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: UNIT - 30n * 700n, charges: 30 });
    expect(await amountLeased(user)).toBe(100_000n - 30n * 700n);
    expect([one, two].map(({ settler }) => settler.refused)).toEqual([0, 0]);
    expect([one, two].flatMap(({ events }) => events).filter(({ kind }) => kind === 'shortfall')).toEqual([]);
  });

  it('of a lease that was given back meanwhile is paid from free money, and what is not there is the operator’s', async () => {
    const machine = await start({ holdTtlMs: 1000 });
    const [rich, poor] = [await funded(UNIT), await funded(UNIT)];
    const sessions = [await leased(machine, rich), await leased(machine, poor)];
    await machine.settler.drain({ timeoutMs: 1000 });
    await db.dataSource.query("UPDATE lease SET expires_at = now() - interval '1 second'");
    await machine.upkeep.runOnce();
    expect(machine.events).toContainEqual({ kind: 'orphan-released', reason: 'timer', count: 2 });
    await machine.holds.hold(order(poor, UNIT - COST - 1000n));
    for (const session of sessions) await session.settle(usage());
    await machine.settler.drain({ timeoutMs: 1000 });
    expect((await booksOf(db.dataSource, rich)).balance).toBe(UNIT - 2n * COST);
    expect((await booksOf(db.dataSource, poor)).balance).toBe(UNIT - COST - 1000n);
    expect(await holdRow(sessions[1]?.billingId ?? '')).toMatchObject({
      captured_nano: '1000',
      shortfall_nano: (COST - 1000n).toString(),
    });
    expect((await runLedgerAudit(db.dataSource, { recompute: false })).mismatches).toEqual([]);
  });
});

describe('an instance that was taken for dead', () => {
  it('or may have been, lets its streams reserve what they need, and no more', async () => {
    const machine = await start();
    const user = await funded(UNIT);
    const stream = await leased(machine, user, 20_000, true);
    await machine.settler.drain({ timeoutMs: 1000 });
    machine.instance.heard(performance.now() - 130_000);
    const [heldNano, before] = [machine.leases.heldNano(user), await amountLeased(user)];
    expect(await stream.covers(4097)).toBe(true);
    expect((await amountLeased(user)) - before).toBe(machine.leases.heldNano(user) - heldNano);
    await stream.settle(usage(10, 4097));
    await expectCleanBooks(user);
  });

  it('does not use what it had reserved ahead, though it has not heard of that yet', async () => {
    const [frozen, other] = [await start(), await start()];
    await frozen.upkeep.runOnce();
    await writeFile(
      join(frozen.journal.directory, 'owner.json'),
      JSON.stringify({ host: 'pod-2', boot: 'another', process: '1-1' }),
    );
    const user = await funded(UNIT);
    await (await leased(frozen, user)).settle(usage());
    await frozen.settler.drain({ timeoutMs: 1000 });
    frozen.instance.heard(performance.now() - 130_000);
    await db.dataSource.query("UPDATE gateway_instance SET heartbeat_at = now() - interval '130 seconds'");
    await other.upkeep.runOnce();
    expect(await leasesOf(user)).toEqual([]);
    const session = await hold(frozen, user);
    expect(await holdRow(session.billingId)).toMatchObject({ state: 'open' });
    await session.settle(usage());
    await expectCleanBooks(user);
  });
});

describe('while the database is away', () => {
  async function behindProxy(
    test: (machine: BillingMachine, proxy: FaultProxy) => Promise<void>,
  ): Promise<void> {
    const proxy = await FaultProxy.start(db.database.url);
    const dataSource = await connect(proxy.through(db.database.url), 6);
    const machine = await startMachine(dataSource, { leases: true }, dataDir);
    try {
      await test(machine, proxy);
    } finally {
      await machine[Symbol.asyncDispose]();
      await dataSource.destroy();
      await proxy.stop();
    }
  }

  it('requests that fit into what is reserved ahead are served, journaled, and booked when it is back', async () => {
    await behindProxy(async (machine, proxy) => {
      const user = await funded(UNIT);
      await serve(machine, user);
      await serve(machine, user);
      await serve(machine, user);
      await machine.settler.drain({ timeoutMs: 1000 });
      await proxy.refuse();
      for (let count = 0; count < 5; count += 1) await serve(machine, user);
      expect(machine.credit.usedNano).toBe(0n);
      await expect(hold(machine, userId())).rejects.toMatchObject({ code: 'database_unavailable' });
      await expect(machine.leases.tend()).rejects.toMatchObject({ code: 'database_unavailable' });
      await proxy.accept();
      await eventually('the charges to be booked', () => machine.settler.pending === 0);
      expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: UNIT - 8n * COST, charges: 8 });
      await machine.leases.leave();
      await expectCleanBooks(user);
    });
  });

  it('a stream goes on without its next slice, and gives back no more than it had', async () => {
    await behindProxy(async (machine, proxy) => {
      const user = await funded(UNIT);
      await serve(machine, user);
      const stream = await leased(machine, user, 20_000, true);
      await machine.settler.drain({ timeoutMs: 1000 });
      await machine.leases.recall(user);
      const had = await amountLeased(user);
      await proxy.refuse();
      expect(await stream.covers(9_000)).toBe(true);
      await stream.settle(usage(10, 9_000));
      expect(machine.leases.heldNano(user)).toBe(0n);
      await proxy.accept();
      await eventually('the charge to be booked', () => machine.settler.pending === 0);
      expect(await holdRow(stream.billingId)).toMatchObject({
        amount_nano: had.toString(),
        shortfall_nano: '0',
      });
      await machine.leases.leave();
      await expectCleanBooks(user);
    });
  });

  it('a user has what is reserved ahead, and credit for the rest alone', async () => {
    const machine = await start({ outageCreditNanoUsd: 1000n * UNIT });
    const user = await funded(UNIT);
    await serve(machine, user);
    await machine.settler.drain({ timeoutMs: 1000 });
    await (await hold(machine, user)).settle({ kind: 'release', reason: 'x' });
    expect(machine.credit.shareOf(user)).toBe(UNIT - COST - (await amountLeased(user)));
    await expectCleanBooks(user);
  });

  it('a grant whose answer was lost is found and given back, and a lease that may have grown is not used any more', async () => {
    await behindProxy(async (machine, proxy) => {
      const user = await funded(UNIT);
      await serve(machine, user);
      await serve(machine, user);
      await machine.settler.drain({ timeoutMs: 1000 });
      proxy.faults = { down: { blackhole: true } };
      await hold(machine, user).catch(() => undefined);
      proxy.heal();
      await eventually('the grant to be there', async () => (await leasesOf(user)).length === 1);
      await eventually('the breaker to close', () =>
        machine.leases.tendForgotten(0).then(
          () => true,
          () => false,
        ),
      );
      await eventually('it to be given back', async () => (await leasesOf(user)).length === 0);
      await machine.forgotten.tend([], [], 0);
      await machine.settler.drain({ timeoutMs: 1000 });
      await expectCleanBooks(user);
    });
  });
});

describe('any history', () => {
  it('of two instances, scarce and ample users, all endings: nothing overspent, nothing lost, nothing left', async () => {
    const [one, two] = [await start(), await start()];
    const bound = await boundOf(one);
    const users = await Promise.all(
      [12n, 40n, 1000n, 20_000n, 40_000n].map((holds) => funded(bound * holds)),
    );
    const charged = new Map<string, bigint>(users.map((user) => [user, 0n]));
    let random = 12345;
    const next = (below: number): number => {
      random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
      return random % below;
    };
    async function client(): Promise<void> {
      for (let count = 0; count < 60; count += 1) {
        const machine = next(2) === 0 ? one : two;
        const user = users[next(users.length)] ?? '';
        const isStream = next(4) === 0;
        const session = machine.sessions.open(identityOf(user));
        const limits = { max_tokens: isStream ? 9000 : 100 };
        const isHeld = await Promise.resolve(session.hold(quoteOf(machine, limits, isStream))).then(
          () => true,
          (error: { code?: string }) => {
            expect(error.code).toMatch(/^(insufficient_balance|balance_reserved)$/);
            return false;
          },
        );
        if (!isHeld) continue;
        if (next(3) === 0) await new Promise((resolve) => setTimeout(resolve, next(10)));
        if (isStream && !(await session.covers(next(9000)))) {
          await session.settle({ kind: 'release', reason: 'short' });
          continue;
        }
        if (next(4) === 0) await session.settle({ kind: 'release', reason: 'failed' });
        else {
          const { costNanoUsd } = await session.settle(usage(1, 1 + next(100)));
          charged.set(user, (charged.get(user) ?? 0n) + costNanoUsd);
        }
      }
    }
    const upkeep = new AbortController();
    const tending = [one, two].map(async (machine) => {
      while (!upkeep.signal.aborted) {
        await machine.leases.tend(next(3) === 0 ? 0 : 30_000);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    const before = await Promise.all(users.map((user) => booksOf(db.dataSource, user)));
    await Promise.all(Array.from({ length: 12 }, client));
    upkeep.abort();
    await Promise.all(tending);
    await expectCleanBooks(...users);
    expect((await runLedgerAudit(db.dataSource)).mismatches).toEqual([]);
    for (const [index, user] of users.entries()) {
      const { balance } = await booksOf(db.dataSource, user);
      expect(balance).toBe((before[index]?.balance ?? 0n) - (charged.get(user) ?? 0n));
    }
    const rows = await db.dataSource.query<{ leased: string }[]>(
      'SELECT count(*) AS leased FROM hold WHERE expires_at <= closed_at',
    );
    expect(Number(rows[0]?.leased)).toBeGreaterThan(50);
    expect([one, two].flatMap(({ events }) => events).filter(({ kind }) => kind === 'shortfall')).toEqual([]);
  });
});

/** What one request of `hold` holds. */
async function boundOf(machine: BillingMachine): Promise<bigint> {
  const user = await funded(UNIT);
  const session = await hold(machine, user);
  const { held } = await booksOf(db.dataSource, user);
  await session.settle({ kind: 'release', reason: 'x' });
  return held;
}

/** The upkeep of those that are asked to give back, as long as somebody waits for it. */
async function tendDuring<T>(waiting: Promise<T>, ...machines: BillingMachine[]): Promise<T> {
  let isOver = false;
  const answer = waiting.finally(() => (isOver = true));
  const tending = machines.map(async (machine) => {
    while (!isOver) await tendFor(machine, 1);
  });
  const [value] = await Promise.all([answer, ...tending]);
  return value;
}

/** The owner's upkeep for a while. */
async function tendFor(machine: BillingMachine, ms: number): Promise<void> {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs) {
    await machine.leases.tend();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

it('an amount that no account can hold is too much for its user, and nothing to those who ask at the same moment', async () => {
  const machine = await start();
  const [greedy, ...others] = await Promise.all(Array.from({ length: 12 }, () => funded(1_000_000_000n)));
  const target = plannedTarget();
  const price = { ...target.price, base: { ...target.price.base, outputPico: 10n ** 19n } };
  const dearest = plannedTarget({ price, priceVersion: priceVersionOf(price) });
  const ask = async (): Promise<void> => {
    const quote = machine.quoter.quote(planOf(dearest), chat('hi', { max_tokens: 1_000 }), false);
    await machine.sessions.open(identityOf(greedy!)).hold(quote);
  };
  machine.quoter.quote(planOf(dearest), chat('hi'), false);
  await machine.prices.store();
  await serve(machine, greedy!);
  await Promise.all(others.map((other) => serve(machine, other)));
  // Alone, in one statement with others, and where a lease would be made for it.
  for (let round = 0; round < 3; round += 1) {
    const asked = [ask(), ...others.map((other) => hold(machine, other)), ask()];
    const seen = (await Promise.allSettled(asked)).map((each) =>
      each.status === 'fulfilled' ? 'held' : (each.reason as GatewayError).code,
    );
    expect(seen).toEqual(['insufficient_balance', ...others.map(() => 'held'), 'insufficient_balance']);
  }
});
