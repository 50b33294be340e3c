import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GatewayError } from '../../libs/contracts/index.js';
import {
  type BillingDatabase,
  type BillingMachine,
  booksOf,
  fund,
  openBillingDatabase,
  order,
  settling,
  startMachine,
} from './billing-support.js';

let db: BillingDatabase;
let machine: BillingMachine;

beforeAll(async () => {
  db = await openBillingDatabase(24);
  machine = await startMachine(db.dataSource, { defaultBalanceNanoUsd: 100n });
});
afterAll(async () => {
  await machine[Symbol.asyncDispose]();
  await db.close();
});

const user = () => `user-${randomUUID()}`;
const code = (error: unknown) => (error instanceof GatewayError ? error.code : String(error));

async function outcomes(attempts: readonly Promise<unknown>[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const result of await Promise.allSettled(attempts)) {
    const name = result.status === 'fulfilled' ? 'granted' : code(result.reason);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

describe('a balance for one', () => {
  it('is given to exactly one of 200 at once', async () => {
    const rich = user();
    await fund(db.dataSource, rich, 10n);
    const counts = await outcomes(Array.from({ length: 200 }, () => machine.holds.hold(order(rich, 10n))));
    expect(counts).toEqual({ granted: 1, balance_reserved: 199 });
    expect(await booksOf(db.dataSource, rich)).toMatchObject({ balance: 10n, held: 10n, openHolds: 10n });
  });

  it('is given to exactly one over several instances and without the batch', async () => {
    const rich = user();
    await fund(db.dataSource, rich, 10n);
    const machines = await Promise.all([1, 2, 3].map(() => startMachine(db.dataSource)));
    const counts = await outcomes(
      machines.flatMap((each) =>
        Array.from({ length: 20 }, () => each.holds.hold(order(rich, 9n, { needNano: 6n }))),
      ),
    );
    expect(counts).toEqual({ granted: 1, balance_reserved: 59 });
    await Promise.all(machines.map((each) => each[Symbol.asyncDispose]()));
  });

  it('CONTROL: read, compare, write gives it to many', async () => {
    const rich = user();
    await fund(db.dataSource, rich, 10n);
    await db.dataSource.query(
      'CREATE TABLE unguarded AS SELECT user_id, balance_nano, held_nano FROM account WHERE user_id = $1',
      [rich],
    );
    const naive = async (): Promise<void> => {
      const [row] = await db.dataSource.query<{ free: string }[]>(
        'SELECT balance_nano - held_nano AS free FROM unguarded',
      );
      await sleep(1);
      if (Number(row?.free) < 10) throw new Error('refused');
      await db.dataSource.query('UPDATE unguarded SET held_nano = held_nano + 10');
    };
    const counts = await outcomes(Array.from({ length: 50 }, naive));
    expect(counts['granted']).toBeGreaterThan(1);
  });
});

it('several users at once are told apart whatever their names are', async () => {
  const names = ['', ' ', 'NULL', 'say "hi"', String.raw`a\b`, '{x,y}'].map((name) => `${name}${user()}`);
  for (const name of names) await fund(db.dataSource, name, 10n);
  await Promise.all(names.map((name) => machine.holds.hold(order(name, 7n))));
  for (const name of names) {
    expect(await booksOf(db.dataSource, name)).toMatchObject({ balance: 10n, held: 7n });
  }
});

describe('a user seen for the first time', () => {
  it('is granted the first credit once, however many requests come at once', async () => {
    const fresh = user();
    const counts = await outcomes(Array.from({ length: 60 }, () => machine.holds.hold(order(fresh, 1n))));
    expect(counts).toEqual({ granted: 60 });
    expect(await booksOf(db.dataSource, fresh)).toEqual({
      balance: 100n,
      held: 60n,
      ledger: 100n,
      openHolds: 60n,
      charges: 0,
    });
    const grants = await db.dataSource.query("SELECT 1 FROM ledger WHERE user_id = $1 AND kind = 'grant'", [
      fresh,
    ]);
    expect(grants).toHaveLength(1);
  });

  it('is granted once by several instances and a balance read', async () => {
    const fresh = user();
    const machines = await Promise.all(
      [1, 2, 3].map(() => startMachine(db.dataSource, { defaultBalanceNanoUsd: 100n })),
    );
    await Promise.all([
      ...machines.flatMap((each) => Array.from({ length: 10 }, () => each.holds.hold(order(fresh, 1n)))),
      ...machines.map((each) => each.accounts.require(fresh)),
    ]);
    expect(await booksOf(db.dataSource, fresh)).toMatchObject({ balance: 100n, held: 30n, ledger: 100n });
    await Promise.all(machines.map((each) => each[Symbol.asyncDispose]()));
  });
});

describe('what is given', () => {
  it('is less than wished when less will do, and says what was free', async () => {
    const poor = user();
    await fund(db.dataSource, poor, 7n);
    expect(await machine.holds.hold(order(poor, 20n, { needNano: 5n }))).toEqual({
      amountNano: 7n,
      freeNano: 7n,
    });
    expect(await booksOf(db.dataSource, poor)).toMatchObject({ held: 7n, openHolds: 7n });
  });

  it('is a slice when the whole is affordable, and nothing when it is not', async () => {
    const one = user();
    await fund(db.dataSource, one, 50n);
    expect(await machine.holds.hold(order(one, 10n, { needNano: 50n }))).toEqual({
      amountNano: 10n,
      freeNano: 50n,
    });
    await expect(machine.holds.hold(order(one, 10n, { needNano: 50n }))).rejects.toMatchObject({
      code: 'balance_reserved',
    });
    await expect(machine.holds.hold(order(one, 10n, { needNano: 51n }))).rejects.toMatchObject({
      code: 'insufficient_balance',
    });
  });

  it('is refused with the figures, and told not to be retried when no retry can help', async () => {
    const poor = user();
    await fund(db.dataSource, poor, 7n);
    await machine.holds.hold(order(poor, 2n));
    const refused = await machine.holds.hold(order(poor, 8n)).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      status: 402,
      code: 'insufficient_balance',
      headers: { 'x-should-retry': 'false' },
    });
    expect(String(refused)).toContain('required 0.000000008, available 0.000000005, held 0.000000002');
    const reserved = await machine.holds.hold(order(poor, 6n)).catch((error: unknown) => error);
    expect(reserved).toMatchObject({
      status: 402,
      code: 'balance_reserved',
      retryAfterMs: 1000,
      headers: {},
    });
  });

  it('is the same when the same hold is asked for again', async () => {
    const one = user();
    await fund(db.dataSource, one, 10n);
    const same = order(one, 4n);
    await machine.holds.hold(same);
    expect(await machine.holds.hold(same)).toMatchObject({ amountNano: 4n });
    expect(await booksOf(db.dataSource, one)).toMatchObject({ held: 4n });
  });
});

describe('no row is not a refusal (trap 5)', () => {
  it('waits for its own settlements on the way instead of answering 402', async () => {
    const one = user();
    await fund(db.dataSource, one, 10n);
    const first = order(one, 10n);
    await machine.holds.hold(first);
    machine.settler.enqueue(settling(first, 1n));
    expect(await machine.holds.hold(order(one, 9n))).toEqual({ amountNano: 9n, freeNano: 9n });
  });

  it('waits a moment for those of other instances', async () => {
    const one = user();
    await fund(db.dataSource, one, 10n);
    const first = order(one, 10n);
    await machine.holds.hold(first);
    const other = await startMachine(db.dataSource);
    setTimeout(() => other.settler.enqueue(settling(first, 1n)), 60);
    expect(await machine.holds.hold(order(one, 9n))).toMatchObject({ amountNano: 9n });
    await other[Symbol.asyncDispose]();
  });

  it('takes money that arrived while it was being refused (trap 6)', async () => {
    const one = user();
    await fund(db.dataSource, one, 5n);
    await using late = await startMachine(db.dataSource);
    const query = late.database.query.bind(late.database);
    let refusals = 0;
    late.database.query = async <Row>(sql: string, parameters?: unknown[]) => {
      const rows = await query<Row>(sql, parameters);
      if (rows.length > 0 || refusals > 0) return rows;
      refusals += 1;
      await fund(db.dataSource, one, 10n);
      return rows;
    };
    expect(await late.holds.hold(order(one, 12n))).toMatchObject({ amountNano: 12n });
    expect(refusals).toBe(1);
  });
});

describe('extending', () => {
  it('adds slices while the money lasts', async () => {
    const one = user();
    await fund(db.dataSource, one, 10n);
    const first = order(one, 4n, { needNano: 10n });
    await machine.holds.hold(first);
    expect(await machine.holds.extend(first.billingId, 6n)).toBe(true);
    expect(await machine.holds.extend(first.billingId, 1n)).toBe(false);
    expect(await booksOf(db.dataSource, one)).toMatchObject({ held: 10n, openHolds: 10n });
    machine.settler.enqueue(settling(first, 3n));
    await machine.settler.drain({ timeoutMs: 1000 });
    expect(await machine.holds.extend(first.billingId, 1n)).toBe(false);
    expect(await booksOf(db.dataSource, one)).toMatchObject({ balance: 7n, held: 0n });
  });
});

describe('one idempotency key', () => {
  it('has one hold of 200 at once, and none more after the charge', async () => {
    const one = user();
    await fund(db.dataSource, one, 1000n);
    const idempotency = { key: 'k', fingerprintHex: 'ab' };
    const orders = Array.from({ length: 200 }, () => order(one, 1n, { idempotency }));
    const counts = await outcomes(orders.map((each) => machine.holds.hold(each)));
    expect(counts).toEqual({ granted: 1, idempotency_conflict: 199 });
    const [row] = await db.dataSource.query<{ id: string }[]>(
      "SELECT id FROM hold WHERE user_id = $1 AND state = 'open'",
      [one],
    );
    machine.settler.enqueue(settling({ billingId: row?.id ?? '', userId: one }, 1n));
    await machine.settler.drain({ timeoutMs: 1000 });
    await expect(machine.holds.hold(order(one, 1n, { idempotency }))).rejects.toMatchObject({
      code: 'idempotency_conflict',
    });
  });
});
