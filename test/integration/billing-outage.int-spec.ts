import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, FaultProxy } from '@app/testing';
import type { DataSource } from 'typeorm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readJournal } from '../../src/billing/journal/journal-reader.js';
import {
  type BillingDatabase,
  type BillingMachine,
  booksOf,
  chat,
  connect,
  fund,
  identityOf,
  openBillingDatabase,
  order,
  plannedTarget,
  planOf,
  settling,
  startMachine,
  targetOf,
  userId,
  unansweredAttempt,
} from './billing-support.js';

const UNIT = 1_000_000_000n;
/** 100 tokens of output at most, and some input: below a thousandth of a unit. */
const SMALL = { max_tokens: 100 };

let db: BillingDatabase;
let proxy: FaultProxy;
let dataSource: DataSource;
let machine: BillingMachine;

beforeEach(async () => {
  db = await openBillingDatabase(6);
  proxy = await FaultProxy.start(db.database.url);
  dataSource = await connect(proxy.through(db.database.url), 6);
  machine = await startMachine(dataSource, { outageCreditNanoUsd: UNIT });
});
afterEach(async () => {
  await proxy.accept();
  proxy.heal();
  await machine[Symbol.asyncDispose]();
  await dataSource.destroy();
  await proxy.stop();
  await db.close();
});

async function funded(nano: bigint): Promise<string> {
  const user = userId();
  await fund(db.dataSource, user, nano);
  return user;
}

async function serve(user: string, limits: { max_tokens?: number } = SMALL) {
  const session = machine.sessions.open(identityOf(user));
  const held = await session.hold(machine.quoter.quote(planOf(plannedTarget()), chat('hi', limits), false));
  return { session, ...held };
}

const usage = {
  kind: 'usage' as const,
  target: targetOf(plannedTarget()),
  usage: { inputTokens: 10, outputTokens: 10 },
  source: 'provider' as const,
};
const COST = 30_000n;

describe('Postgres goes away', () => {
  it('after the hold: the charge is safe in the journal, and booked once Postgres is back', async () => {
    const user = await funded(UNIT);
    const { session } = await serve(user);
    await proxy.refuse();
    expect(await session.settle(usage)).toEqual({ costNanoUsd: COST });
    expect((await readJournal(machine.journal.directory)).settlements.map(({ id }) => id)).toEqual([
      session.billingId,
    ]);
    await sleep(300);
    expect(machine.settler.pending).toBe(1);
    await proxy.accept();
    await eventually('the charge to be booked', () => machine.settler.pending === 0);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: UNIT - COST, held: 0n, charges: 1 });
    await eventually(
      'the journal to say so',
      async () => (await readJournal(machine.journal.directory)).settlements.length === 0,
    );
  });

  it('before the hold: known users are served on credit, journaled first, and settled later without a hold row', async () => {
    const user = await funded(UNIT);
    await (await serve(user)).session.settle(usage);
    await machine.settler.drain({ timeoutMs: 1000 });
    await proxy.refuse();
    const { session, maxOutputTokens } = await serve(user);
    expect(maxOutputTokens).toBe(100);
    expect(machine.credit.usedNano).toBeGreaterThan(0n);
    await session.settle(usage);
    await proxy.accept();
    await eventually('the charge to be booked', () => machine.settler.pending === 0);
    expect(await booksOf(db.dataSource, user)).toMatchObject({
      balance: UNIT - 2n * COST,
      held: 0n,
      charges: 2,
    });
    const [row] = await db.dataSource.query(
      'SELECT state, on_credit, shortfall_nano FROM hold WHERE id = $1',
      [session.billingId],
    );
    expect(row).toEqual({ state: 'captured', on_credit: true, shortfall_nano: '0' });
    expect(machine.credit.usedNano).toBe(0n);
  });

  it('a call on credit that was sent and never answered has its row for the operator, and costs the user nothing', async () => {
    const user = await funded(UNIT);
    await (await serve(user)).session.settle(usage);
    await machine.settler.drain({ timeoutMs: 1000 });
    await proxy.refuse();
    const { session } = await serve(user);
    session.attempt(unansweredAttempt('timeout'));
    await session.settle({ kind: 'release', reason: 'timeout' });
    const released = await serve(user);
    await released.session.settle({ kind: 'release', reason: 'refused' });
    await proxy.accept();
    await eventually('both to be booked', () => machine.settler.pending === 0);
    const rows = await db.dataSource.query('SELECT hold_id, reason FROM unknown_cost WHERE user_id = $1', [
      user,
    ]);
    expect(rows).toEqual([{ hold_id: session.billingId, reason: 'timeout' }]);
    const holds = await db.dataSource.query('SELECT state, outcome, on_credit FROM hold WHERE id = ANY($1)', [
      [session.billingId, released.session.billingId],
    ]);
    expect(holds).toEqual([{ state: 'released', outcome: 'timeout', on_credit: true }]);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: UNIT - COST, held: 0n, charges: 1 });
    expect(machine.credit.usedNano).toBe(0n);
  });

  it('a price nobody had stored yet is stored before the charge that refers to it', async () => {
    const user = await funded(UNIT);
    await (await serve(user)).session.settle(usage);
    await machine.settler.drain({ timeoutMs: 1000 });
    await proxy.refuse();
    const dear = plannedTarget({ price: { ...plannedTarget().price, requestPico: 5_000_000n } });
    const session = machine.sessions.open(identityOf(user));
    await session.hold(machine.quoter.quote(planOf(dear), chat('hi', SMALL), false));
    await session.settle({ ...usage, target: targetOf(dear) });
    // Should this process die now, another one on the same disk knows the price from the journal.
    await eventually('the note of the price', async () => {
      const { priceVersions } = await readJournal(machine.journal.directory);
      return priceVersions.some(({ id }) => id === dear.priceVersion);
    });
    await proxy.accept();
    await eventually('the charge to be booked', () => machine.settler.pending === 0);
    const rows = await db.dataSource.query('SELECT 1 FROM price_version WHERE id = $1', [dear.priceVersion]);
    expect(rows).toHaveLength(1);
  });

  it('who has less than was used pays what there is; the rest is the operator’s', async () => {
    const user = await funded(UNIT);
    await (await serve(user)).session.settle({ kind: 'release', reason: 'x' });
    await machine.settler.drain({ timeoutMs: 1000 });
    await proxy.refuse();
    const { session } = await serve(user);
    // Meanwhile another instance spends the money.
    await using other = await startMachine(db.dataSource);
    const spent = order(user, UNIT - 10_000n);
    await other.holds.hold(spent);
    other.settler.enqueue(settling(spent, UNIT - 10_000n));
    await other.settler.drain({ timeoutMs: 1000 });
    await session.settle(usage);
    await proxy.accept();
    await eventually('the charge to be booked', () => machine.settler.pending === 0);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 0n, held: 0n });
    expect(machine.events).toContainEqual(
      expect.objectContaining({ kind: 'shortfall', model: 'echo', amountNanoUsd: 20_000n, userId: user }),
    );
  });
});

describe('credit in an outage', () => {
  it('is bounded per user by what they were seen to have, and smaller for strangers', async () => {
    const poor = await funded(UNIT / 2000n);
    const rich = await funded(1000n * UNIT);
    for (const user of [poor, rich])
      await (await serve(user)).session.settle({ kind: 'release', reason: 'x' });
    await machine.settler.drain({ timeoutMs: 1000 });
    await proxy.refuse();
    expect(machine.credit.shareOf(poor)).toBe(UNIT / 2000n);
    expect(machine.credit.shareOf(rich)).toBe(UNIT / 10n);
    expect(machine.credit.shareOf(userId())).toBe(UNIT / 100n);
    await serve(poor);
    await expect(serve(poor)).rejects.toMatchObject({
      status: 503,
      code: 'database_unavailable',
      retryAfterMs: 5000,
    });
    expect((await serve(userId(), {})).maxOutputTokens).toBeUndefined();
  });

  it('never exceeds the instance’s sum, and comes back when a request ends', async () => {
    const users = await Promise.all(Array.from({ length: 600 }, () => userId()));
    await proxy.refuse();
    const results = await Promise.allSettled(users.map((user) => serve(user, { max_tokens: 1000 })));
    const served = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(machine.credit.usedNano).toBeLessThanOrEqual(UNIT);
    expect(served.length).toBeLessThan(users.length);
    expect(served.length).toBeGreaterThan(300);
    const used = machine.credit.usedNano;
    await served[0]?.session.settle({ kind: 'release', reason: 'x' });
    await proxy.accept();
    await eventually('the release to be booked', () => machine.settler.pending === 0);
    expect(machine.credit.usedNano).toBeLessThan(used);
  });

  it('is not given when the operator does not want it', async () => {
    await using closed = await startMachine(dataSource, { outageCreditNanoUsd: UNIT, outageMode: 'closed' });
    await proxy.refuse();
    const session = closed.sessions.open(identityOf(userId()));
    const quote = closed.quoter.quote(planOf(plannedTarget()), chat('hi', SMALL), false);
    await expect(session.hold(quote)).rejects.toMatchObject({ status: 503, code: 'database_unavailable' });
    expect(closed.credit.usedNano).toBe(0n);
    await proxy.accept();
  });

  it('is lowered like money when the client named no limit', async () => {
    const user = await funded(1_000_000n);
    await (await serve(user)).session.settle({ kind: 'release', reason: 'x' });
    await machine.settler.drain({ timeoutMs: 1000 });
    await proxy.refuse();
    const { maxOutputTokens } = await serve(user, {});
    expect(maxOutputTokens).toBeGreaterThan(400);
    expect(maxOutputTokens).toBeLessThan(500);
  });
});

describe('a frozen Postgres', () => {
  it('costs one time limit; then requests are served or refused at once', { timeout: 30_000 }, async () => {
    const user = await funded(UNIT);
    await (await serve(user)).session.settle({ kind: 'release', reason: 'x' });
    await machine.settler.drain({ timeoutMs: 1000 });
    proxy.faults = { up: { blackhole: true }, down: { blackhole: true } };
    const first = performance.now();
    await Promise.all([serve(user), serve(user), serve(user)]);
    expect(performance.now() - first).toBeLessThan(9000);
    await eventually('the breaker to open', async () => {
      await serve(user);
      return !machine.database.isReachable;
    });
    const second = performance.now();
    await serve(user);
    expect(performance.now() - second).toBeLessThan(500);
    expect(machine.database.isReachable).toBe(false);
    proxy.heal();
    await eventually('the way back', async () => {
      await serve(user);
      return machine.database.isReachable;
    });
  });

  it(
    'gets the same settlement again when the answer to COMMIT was lost, and books it once',
    { timeout: 30_000 },
    async () => {
      const user = await funded(UNIT);
      const { session } = await serve(user);
      proxy.faults = { down: { blackhole: true } };
      await session.settle(usage);
      // The statement goes through and nobody hears of it.
      await eventually('the charge', async () => (await booksOf(db.dataSource, user)).charges === 1);
      expect(machine.settler.pending).toBe(1);
      proxy.heal();
      await eventually('the settler to hear of it', () => machine.settler.pending === 0, 15_000);
      expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: UNIT - COST, charges: 1 });
    },
  );
});

describe('a hold whose answer was lost', () => {
  it('is given back when this process knows nothing of it', { timeout: 30_000 }, async () => {
    await using strict = await startMachine(dataSource, { outageCreditNanoUsd: 0n });
    const user = await funded(UNIT);
    const session = strict.sessions.open(identityOf(user));
    const quote = strict.quoter.quote(planOf(plannedTarget()), chat('hi', SMALL), false);
    await strict.prices.store();
    proxy.faults = { down: { blackhole: true } };
    const refused = Promise.resolve(session.hold(quote)).catch((error: unknown) => error);
    await eventually('the hold to be there', async () => (await booksOf(db.dataSource, user)).held > 0n);
    expect(await refused).toMatchObject({ code: 'database_unavailable' });
    proxy.heal();
    await sleep(1100);
    await eventually('the way back', () => strict.forgotten.tend([], [], 0).then(() => true));
    await strict.settler.drain({ timeoutMs: 2000 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: UNIT, held: 0n, openHolds: 0n });
  });
});

describe('the disk of the journal', () => {
  it('failing stops new requests, and what runs is booked in Postgres before it is answered', async () => {
    const user = await funded(UNIT);
    const { session } = await serve(user);
    await machine.journal.close();
    await expect(serve(user)).rejects.toMatchObject({ code: 'database_unavailable' });
    expect(await session.settle(usage)).toEqual({ costNanoUsd: COST });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: UNIT - COST, charges: 1 });
  });
});
