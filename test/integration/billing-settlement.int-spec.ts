import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { runLedgerAudit } from '../../src/billing/audit/ledger-audit.js';
import type { HoldOrder } from '../../src/billing/holds/hold-order.js';
import { SETTLE_BATCH, SETTLE_LEASED, SETTLE_ONE } from '../../src/billing/settle/settle-statements.js';
import { SWEEP_ORPHANS } from '../../src/billing/upkeep/upkeep-statements.js';
import {
  type BillingDatabase,
  type BillingMachine,
  booksOf,
  fund,
  openBillingDatabase,
  order,
  settling,
  startMachine,
  unansweredAttempt,
} from './billing-support.js';

let db: BillingDatabase;
let machine: BillingMachine;

beforeAll(async () => {
  db = await openBillingDatabase(24);
  machine = await startMachine(db.dataSource);
});
afterAll(async () => {
  await machine[Symbol.asyncDispose]();
  await db.close();
});

async function funded(nano: bigint): Promise<string> {
  const user = `user-${randomUUID()}`;
  await fund(db.dataSource, user, nano);
  return user;
}

async function held(user: string, nano: bigint, changes: Partial<HoldOrder> = {}): Promise<HoldOrder> {
  const hold = order(user, nano, changes);
  await machine.holds.hold(hold);
  return hold;
}

const stateOf = async (hold: HoldOrder) => {
  const [row] = await db.dataSource.query<Record<string, unknown>[]>(
    'SELECT state, captured_nano::int AS captured, shortfall_nano::int AS shortfall, outcome FROM hold WHERE id = $1',
    [hold.billingId],
  );
  return row;
};

async function settle(...each: Parameters<typeof machine.settler.enqueue>[0][]): Promise<void> {
  for (const one of each) machine.settler.enqueue(one);
  await machine.settler.drain({ timeoutMs: 5000 });
}

/** Parameters of SETTLE_BATCH. */
function batchOf(batch: ReturnType<typeof settling>[]): unknown[] {
  return [
    JSON.stringify(batch.map(({ record }) => record)),
    batch.map(({ record }) => record.id),
    [...new Set(batch.map(({ record }) => record.user_id))],
  ];
}

/** The sweep sees the hold of an instance whose journal was replayed. */
async function orphan(hold: HoldOrder): Promise<void> {
  const [row] = await db.dataSource.query<{ instance_id: string }[]>(
    'SELECT instance_id FROM hold WHERE id = $1',
    [hold.billingId],
  );
  const dead = randomUUID();
  await db.dataSource.query('UPDATE hold SET instance_id = $2 WHERE id = $1', [hold.billingId, dead]);
  await db.dataSource.query('INSERT INTO gateway_instance (id, host, replayed_at) VALUES ($1, $2, now())', [
    dead,
    row?.instance_id,
  ]);
  await db.dataSource.query(SWEEP_ORPHANS, [Date.now()]);
}

describe('a settlement', () => {
  it('charges the cost, gives the rest back, and is booked once however often it is sent', async () => {
    const user = await funded(100n);
    const hold = await held(user, 30n);
    const machines = await Promise.all([1, 2, 3].map(() => startMachine(db.dataSource)));
    const settlement = settling(hold, 20n);
    for (const each of [machine, ...machines])
      for (let i = 0; i < 50; i += 1) each.settler.enqueue(settlement);
    await Promise.all([machine, ...machines].map((each) => each.settler.drain({ timeoutMs: 10_000 })));
    expect(await booksOf(db.dataSource, user)).toEqual({
      balance: 80n,
      held: 0n,
      ledger: 80n,
      openHolds: 0n,
      charges: 1,
    });
    await Promise.all(machines.map((each) => each[Symbol.asyncDispose]()));
  });

  it('of nothing is in the ledger all the same', async () => {
    const user = await funded(100n);
    const hold = await held(user, 30n);
    await settle(settling(hold, 0n));
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 100n, held: 0n, charges: 1 });
  });

  it('never takes more than is free: the rest is shortfall, counted', async () => {
    const user = await funded(100n);
    const hold = await held(user, 30n);
    await held(user, 60n);
    await settle(settling(hold, 75n));
    expect(await stateOf(hold)).toMatchObject({ state: 'captured', captured: 40, shortfall: 35 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 60n, held: 60n });
    expect(machine.events).toContainEqual({
      kind: 'shortfall',
      model: 'm',
      amountNanoUsd: 35n,
      requestId: hold.requestId,
      userId: user,
    });
  });

  it('never takes more than may be charged', async () => {
    const user = await funded(100n);
    const hold = await held(user, 30n);
    await settle(settling(hold, 75n, { chargeable: '33' }));
    expect(await stateOf(hold)).toMatchObject({ captured: 33, shortfall: 42 });
  });

  it('releases, and notes a cost nobody knows', async () => {
    const user = await funded(100n);
    const hold = await held(user, 30n);
    const lost = {
      release: true,
      unknown: true,
      outcome: 'first_chunk_timeout',
      attempts: [
        { ...unansweredAttempt('first_chunk_timeout'), provider: 'p', providerRequestId: 'r-1' },
        { ...unansweredAttempt('circuit_open'), isCostUnknown: undefined },
      ],
    };
    await settle(settling(hold, 0n, lost));
    expect(await stateOf(hold)).toEqual({
      state: 'released',
      captured: null,
      shortfall: null,
      outcome: 'first_chunk_timeout',
    });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 100n, held: 0n, charges: 0 });
    const rows = await db.dataSource.query(
      'SELECT provider, provider_request_id, reason FROM unknown_cost WHERE user_id = $1',
      [user],
    );
    expect(rows).toEqual([{ provider: 'p', provider_request_id: 'r-1', reason: 'first_chunk_timeout' }]);
  });

  it('of several requests of one account is exact to the last nano, in any mixture', async () => {
    const user = await funded(1000n);
    const holds = await Promise.all(Array.from({ length: 40 }, () => held(user, 20n)));
    await settle(
      ...holds.map((hold, index) =>
        index % 4 === 0 ? settling(hold, 0n, { release: true }) : settling(hold, BigInt(index)),
      ),
    );
    const charged = holds.reduce((sum, _, index) => sum + (index % 4 === 0 ? 0n : BigInt(index)), 0n);
    expect(await booksOf(db.dataSource, user)).toMatchObject({
      balance: 1000n - charged,
      held: 0n,
      ledger: 1000n - charged,
      charges: 30,
    });
    const after = await db.dataSource.query<{ balance_after_nano: string }[]>(
      'SELECT balance_after_nano, sum(amount_nano) OVER (ORDER BY seq) AS running FROM ledger WHERE user_id = $1 ORDER BY seq DESC LIMIT 1',
      [user],
    );
    expect(after[0]).toMatchObject({
      balance_after_nano: String(1000n - charged),
      running: String(1000n - charged),
    });
  });
});

describe('a settlement that is safe in the journal', () => {
  // Only the clock is held: what ends the waiting here is never that time has passed.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  const statements = vi.fn<(sql: string) => void>();
  let [running, mostRunning] = [0, 0];
  beforeAll(() => {
    const query = machine.database.query.bind(machine.database);
    machine.database.query = (sql, parameters) => {
      if (sql !== SETTLE_ONE && sql !== SETTLE_BATCH && sql !== SETTLE_LEASED) return query(sql, parameters);
      statements(sql);
      mostRunning = Math.max(mostRunning, ++running);
      return query<never>(sql, parameters).finally(() => (running -= 1));
    };
  });
  beforeEach(() => {
    statements.mockClear();
    mostRunning = 0;
  });

  const safe = async (hold: HoldOrder, changes: Parameters<typeof settling>[2] = {}) => {
    const charge = settling(hold, 10n, changes);
    return { ...charge, mark: await machine.journal.append({ t: 'S', s: charge.record }) };
  };
  /** Of a lease, which the database has never heard of: its charge is paid from what is free. */
  const leased = (user: string) =>
    safe(order(user, 100n), { lease_id: randomUUID(), leased: '100', held_at: Date.now() });
  const aWhile = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
  };

  /** Not `vi.waitUntil`: it moves the clock. */
  const booked = async (): Promise<void> => {
    const deadlineMs = performance.now() + 2000;
    while (machine.settler.pending > 0) {
      if (performance.now() > deadlineMs) throw new Error('not booked');
      await aWhile();
    }
  };

  it('waits for others to share its statement, for a moment', async () => {
    const user = await funded(1000n);
    for (let index = 0; index < 5; index += 1) {
      machine.settler.enqueue(await safe(await held(user, 100n)));
      await aWhile();
    }
    expect(statements).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(50);
    await booked();
    expect(statements).toHaveBeenCalledExactlyOnceWith(SETTLE_BATCH);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 950n, held: 0n });
  });

  it('waits longer when it was held of a lease, which keeps nothing from anybody', async () => {
    const user = await funded(1000n);
    machine.settler.enqueue(await leased(user));
    await aWhile();
    await vi.advanceTimersByTimeAsync(190);
    await aWhile();
    expect(statements).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(10);
    await booked();
    expect(statements).toHaveBeenCalledExactlyOnceWith(SETTLE_LEASED);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 990n });
  });

  it('takes those of leases along when one is due that keeps money from others', async () => {
    const user = await funded(1000n);
    machine.settler.enqueue(await leased(user));
    await aWhile();
    machine.settler.enqueue(await safe(await held(user, 100n)));
    await aWhile();
    expect(statements).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(50);
    await booked();
    expect(statements).toHaveBeenCalledTimes(2);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 980n, held: 0n });
  });

  it('waits no longer when a batch is full', async () => {
    const user = await funded(10_000n);
    const charges = await Promise.all(Array.from({ length: 50 }, async () => safe(await held(user, 100n))));
    const last = charges.pop();
    for (const charge of charges) machine.settler.enqueue(charge);
    await aWhile();
    expect(statements).not.toHaveBeenCalled();
    if (last) machine.settler.enqueue(last);
    await booked();
    expect(statements).toHaveBeenCalledExactlyOnceWith(SETTLE_BATCH);
  });

  it('waits no longer when somebody asks for the balance', async () => {
    const hold = await held(await funded(1000n), 100n);
    machine.settler.enqueue(await safe(hold));
    await aWhile();
    expect(await stateOf(hold)).toMatchObject({ state: 'open' });
    expect(await machine.settler.drain({ userId: hold.userId, timeoutMs: 5000 })).toBe(true);
    expect(await stateOf(hold)).toMatchObject({ state: 'captured', captured: 10 });
  });

  it('waits no longer when another comes that is safe nowhere', async () => {
    const hold = await held(await funded(1000n), 100n);
    const other = await held(await funded(1000n), 100n);
    machine.settler.enqueue(await safe(hold));
    await aWhile();
    machine.settler.enqueue(settling(other, 10n));
    await booked();
    expect(statements).toHaveBeenCalledExactlyOnceWith(SETTLE_BATCH);
  });

  it('is booked after what is being booked, not beside it', async () => {
    const holds = await Promise.all(Array.from({ length: 5 }, async () => held(await funded(1000n), 100n)));
    for (const hold of holds) {
      machine.settler.enqueue(settling(hold, 10n));
      await new Promise((resolve) => void setImmediate(resolve));
    }
    await booked();
    expect(mostRunning).toBe(1);
  });
});

describe('several settlements of one account in one batch', () => {
  it('are each paid out of their own hold first: an overrun takes nothing from another', async () => {
    for (let round = 0; round < 6; round += 1) {
      const user = await funded(100n);
      const [within, over] = [await held(user, 60n), await held(user, 30n)];
      await settle(settling(over, 80n), settling(within, 55n));
      expect(await stateOf(within)).toMatchObject({ captured: 55, shortfall: 0 });
      expect(await stateOf(over)).toMatchObject({ captured: 45, shortfall: 35 });
      expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 0n, held: 0n });
    }
  });
});

describe('a settlement that comes late', () => {
  it('is captured from free money after the sweep gave its hold back', async () => {
    const user = await funded(100n);
    const hold = await held(user, 30n);
    await orphan(hold);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ held: 0n, openHolds: 0n });
    await settle(settling(hold, 20n));
    expect(await stateOf(hold)).toMatchObject({ state: 'captured', captured: 20, shortfall: 0 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 80n, held: 0n, charges: 1 });
  });

  it('is shortfall when the money is gone', async () => {
    const user = await funded(100n);
    const hold = await held(user, 30n);
    await orphan(hold);
    await settle(settling(await held(user, 90n), 90n), settling(hold, 20n));
    expect(await stateOf(hold)).toMatchObject({ state: 'captured', captured: 10, shortfall: 10 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 0n, held: 0n });
  });

  it('of a hold the database never saw is booked from free money, for a new user too', async () => {
    const user = await funded(100n);
    const never = order(user, 30n);
    const stranger = order(`user-${randomUUID()}`, 30n);
    await settle(settling(never, 20n, { on_credit: true }), settling(stranger, 20n, { on_credit: true }));
    expect(await stateOf(never)).toMatchObject({ state: 'captured', captured: 20, shortfall: 0 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 80n, held: 0n, charges: 1 });
    expect(await stateOf(stranger)).toMatchObject({ state: 'captured', captured: 0, shortfall: 20 });
  });

  it('of a release without a hold changes nothing', async () => {
    const user = await funded(100n);
    const never = order(user, 30n);
    await settle(settling(never, 0n, { release: true }));
    expect(await stateOf(never)).toBeUndefined();
  });

  it('is written off when another attempt of its idempotency key was charged meanwhile', async () => {
    const user = await funded(100n);
    const idempotency = { key: 'k', fingerprintHex: 'ab' };
    const first = await held(user, 30n, { idempotency });
    await orphan(first);
    const second = await held(user, 30n, { idempotency });
    const other = await held(user, 5n);
    await settle(settling(second, 20n), settling(first, 20n), settling(other, 5n));
    expect(await stateOf(first)).toMatchObject({ state: 'orphaned', shortfall: 20, outcome: 'written-off' });
    expect(await stateOf(second)).toMatchObject({ state: 'captured', captured: 20 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 75n, held: 0n, charges: 2 });
    expect(machine.events.filter((event) => event.kind === 'unexpected-error')).toEqual([]);
  });
});

describe('the sweep', () => {
  const sweep = async () =>
    (await db.dataSource.query<{ by_evidence: number; by_timer: number }[]>(SWEEP_ORPHANS, [Date.now()]))[0];
  const mineOf = (user: string, changes: string) =>
    db.dataSource.query(`UPDATE hold SET ${changes} WHERE user_id = $1`, [user]);

  it('frees nothing while the owner may still report', async () => {
    const user = await funded(100n);
    await held(user, 30n);
    const owner = randomUUID();
    await mineOf(user, `instance_id = '${owner}'`);
    await db.dataSource.query(
      "INSERT INTO gateway_instance (id, host, heartbeat_at) VALUES ($1, 'h', now() - interval '1 year')",
      [owner],
    );
    expect(await sweep()).toEqual({ by_evidence: 0, by_timer: 0 });
    await db.dataSource.query('UPDATE gateway_instance SET replayed_at = now() WHERE id = $1', [owner]);
    expect(await sweep()).toEqual({ by_evidence: 1, by_timer: 0 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 100n, held: 0n });
  });

  it('frees by the timer what nobody can report any more, and says so', async () => {
    const user = await funded(100n);
    await held(user, 30n);
    await mineOf(user, "expires_at = now() - interval '1 second'");
    expect(await sweep()).toEqual({ by_evidence: 0, by_timer: 1 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ held: 0n });
  });
});

describe('trap 1: a CHECK must not fire on a row version that nobody sees any more', () => {
  /** Extends the hold in an open transaction, runs `work` against it, commits. */
  async function duringExtension(
    hold: HoldOrder,
    byNano: bigint,
    work: () => Promise<unknown>,
  ): Promise<unknown> {
    const runner = db.dataSource.createQueryRunner();
    await runner.startTransaction();
    await runner.query('UPDATE hold SET amount_nano = amount_nano + $2 WHERE id = $1', [
      hold.billingId,
      byNano.toString(),
    ]);
    await runner.query('UPDATE account SET held_nano = held_nano + $2 WHERE user_id = $1', [
      hold.userId,
      byNano.toString(),
    ]);
    const result = work().catch((error: unknown) => error);
    await sleep(60);
    await runner.commitTransaction();
    await runner.release();
    return result;
  }

  it('settles a hold that grew after the statement began', async () => {
    const user = await funded(100n);
    const hold = await held(user, 10n);
    const parameters = batchOf([settling(hold, 5n)]);
    const result = await duringExtension(hold, 50n, () => db.dataSource.query(SETTLE_BATCH, parameters));
    expect(result).toMatchObject([{ captured_nano: '5' }]);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 95n, held: 0n });
  });

  it('settles it alone, too', async () => {
    const user = await funded(100n);
    const hold = await held(user, 10n);
    const parameters = [
      hold.billingId,
      false,
      '5',
      '5',
      'usage',
      '[]',
      null,
      null,
      null,
      null,
      null,
      null,
      'd',
    ];
    const result = await duringExtension(hold, 50n, () => db.dataSource.query(SETTLE_ONE, parameters));
    expect(result).toMatchObject([{ captured_nano: '5' }]);
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 95n, held: 0n });
  });

  it('CONTROL: with the plain subtraction it fires', async () => {
    const user = await funded(100n);
    const hold = await held(user, 10n);
    const plain = SETTLE_BATCH.replace(
      'account.held_nano - LEAST(sums.freed, account.held_nano),',
      'account.held_nano - sums.freed,',
    );
    expect(plain).not.toBe(SETTLE_BATCH);
    const parameters = batchOf([settling(hold, 5n)]);
    const result = await duringExtension(hold, 50n, () => db.dataSource.query(plain, parameters));
    expect(String(result)).toContain('account_held_within_balance');
  });
});

describe('trap 2: batches in any order never wait for each other in a circle', () => {
  const ACCOUNTS = 12;

  async function crossing(sql: string): Promise<{ batches: number; deadlocks: number }> {
    const users = await Promise.all(Array.from({ length: ACCOUNTS }, () => funded(1_000_000n)));
    const clients = 6;
    let deadlocks = 0;
    let batches = 0;
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        for (let round = 0; round < 8; round += 1) {
          try {
            // Whoever stands in a circle may be the one that is sent away: the holds too.
            const holds = await Promise.all(users.map((user) => held(user, 10n)));
            const shuffled = client % 2 === 0 ? holds : holds.toReversed();
            await db.dataSource.query(sql, batchOf(shuffled.map((hold) => settling(hold, 3n))));
            batches += 1;
          } catch (error) {
            if (!/deadlock|lock timeout/.test(String(error))) throw error;
            deadlocks += 1;
          }
        }
      }),
    );
    return { batches, deadlocks };
  }

  it('settles crossing batches without a deadlock', async () => {
    expect(await crossing(SETTLE_BATCH)).toEqual({ batches: 48, deadlocks: 0 });
  });

  it('CONTROL: in any order they do', async () => {
    const unordered = SETTLE_BATCH.replaceAll(
      /ORDER BY (id|user_id) FOR UPDATE/g,
      'ORDER BY random() FOR UPDATE',
    );
    let deadlocks = 0;
    for (let attempt = 0; attempt < 12 && deadlocks === 0; attempt += 1)
      deadlocks = (await crossing(unordered)).deadlocks;
    expect(deadlocks).toBeGreaterThan(0);
  });
});

describe('trap 4: balance and held change in one UPDATE', () => {
  it('moves both when a charge and a hold end together', async () => {
    const user = await funded(100n);
    const hold = await held(user, 40n);
    const { balance, held: heldNano } = await booksOf(db.dataSource, user);
    await settle(settling(hold, 15n));
    const after = await booksOf(db.dataSource, user);
    expect([balance - after.balance, heldNano - after.held]).toEqual([15n, 40n]);
    expect(SETTLE_BATCH.match(/UPDATE account/g)).toHaveLength(1);
  });
});

describe('under a storm of holds, extensions, settlements and sweeps of several instances', () => {
  it('conserves every nano, refuses nothing by mistake, and the audit agrees', async () => {
    const users = await Promise.all(Array.from({ length: 5 }, () => funded(2_000n)));
    const machines = await Promise.all([1, 2, 3].map(() => startMachine(db.dataSource)));
    let spent = 0n;
    await Promise.all(
      machines.flatMap((each, index) =>
        Array.from({ length: 8 }, async (_, lane) => {
          for (let round = 0; round < 15; round += 1) {
            const user = users[(index + lane + round) % users.length] ?? '';
            const hold = order(user, 10n, { needNano: 10n });
            if (!(await each.holds.hold(hold).catch(() => undefined))) continue;
            if (round % 3 === 0) await each.holds.extend(hold.billingId, 5n);
            const cost = BigInt((round * 7 + lane) % 14);
            spent += cost;
            each.settler.enqueue(settling(hold, cost, { usage: undefined }));
            if (round % 5 === 0) await db.dataSource.query(SWEEP_ORPHANS, [Date.now()]);
          }
        }),
      ),
    );
    await Promise.all(machines.map((each) => each.settler.drain({ timeoutMs: 10_000 })));
    for (const user of users) {
      const books = await booksOf(db.dataSource, user);
      expect(books.balance).toBe(books.ledger);
      expect(books.held).toBe(0n);
    }
    const [total] = await db.dataSource.query<{ spent: string }[]>(
      `SELECT -sum(l.amount_nano) + sum(h.shortfall_nano) AS spent FROM ledger l JOIN hold h ON h.id = l.id
        WHERE l.kind = 'charge' AND l.user_id = ANY($1)`,
      [users],
    );
    expect(BigInt(total?.spent ?? 0)).toBe(spent);
    const audit = await runLedgerAudit(db.dataSource);
    const { charge_is_usage_times_price: _unpriced, ...checks } = audit.checks;
    expect(Object.values(checks).every((count) => count === 0)).toBe(true);
    for (const each of machines)
      expect(each.events.filter((event) => event.kind === 'unexpected-error')).toEqual([]);
    await Promise.all(machines.map((each) => each[Symbol.asyncDispose]()));
  });
});
