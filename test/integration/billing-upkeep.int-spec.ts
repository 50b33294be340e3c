import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runLedgerAudit } from '../../src/billing/audit/ledger-audit.js';
import { MARK_REPLAYED } from '../../src/billing/upkeep/upkeep-statements.js';
import {
  type BillingDatabase,
  type BillingMachine,
  booksOf,
  chat,
  deadJournal,
  fund,
  identityOf,
  openBillingDatabase,
  order,
  plannedTarget,
  planOf,
  settling,
  startMachine,
  targetOf,
  unansweredAttempt,
  unknownCosts,
  userId,
} from './billing-support.js';

let db: BillingDatabase;
let dataDir: string;
let user: string;

beforeEach(async () => {
  db = await openBillingDatabase(6);
  dataDir = await mkdtemp(join(tmpdir(), 'billing-upkeep-'));
  user = userId();
  await fund(db.dataSource, user, 1_000_000_000n);
});
afterEach(async () => {
  await db.close();
  await rm(dataDir, { recursive: true, force: true });
});

const holdRow = async (id: string) =>
  (
    await db.dataSource.query<Record<string, unknown>[]>(
      'SELECT *, expires_at - now() AS left FROM hold WHERE id = $1',
      [id],
    )
  )[0];

/** @returns the ids that were to be booked; each waits for `first` */
function beforeBooking({ settler }: BillingMachine, first: () => Promise<void>): readonly string[] {
  const asked: string[] = [];
  const enqueue = settler.enqueue.bind(settler);
  settler.enqueue = (settling) => {
    asked.push(settling.record.id);
    void first().then(() => enqueue(settling));
  };
  return asked;
}

describe('a running request', () => {
  it('keeps its hold however long it takes', async () => {
    await using machine = await startMachine(db.dataSource, { holdTtlMs: 10_000 }, dataDir);
    const session = machine.sessions.open(identityOf(user));
    await session.hold(machine.quoter.quote(planOf(plannedTarget()), chat('hi', { max_tokens: 5 }), false));
    await db.dataSource.query("UPDATE hold SET expires_at = now() + interval '1 second'");
    await machine.forgotten.tend(machine.sessions.holdingIds(), machine.sessions.aliveIds(), 0);
    await machine.settler.drain({ timeoutMs: 1000 });
    const [row] = await db.dataSource.query<{ left: number; state: string }[]>(
      'SELECT extract(epoch FROM expires_at - now())::float8 AS left, state FROM hold',
    );
    expect(row?.state).toBe('open');
    expect(row?.left).toBeGreaterThan(8);
    await session.settle({ kind: 'release', reason: 'x' });
  });

  it('that is older than any request may get lets its hold expire, and is charged all the same if it ends', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    Object.assign(machine.config.timeouts, { requestMs: -600_000 });
    const session = machine.sessions.open(identityOf(user));
    await session.hold(machine.quoter.quote(planOf(plannedTarget()), chat('hi', { max_tokens: 5 }), false));
    expect(machine.sessions.aliveIds()).toEqual([]);
    await db.dataSource.query("UPDATE hold SET expires_at = now() - interval '1 second'");
    await machine.upkeep.runOnce();
    expect(await booksOf(db.dataSource, user)).toMatchObject({ held: 0n });
    expect(machine.events).toContainEqual({ kind: 'orphan-released', reason: 'timer', count: 1 });
    const usage = { inputTokens: 1, outputTokens: 1 };
    await session.settle({ kind: 'usage', target: targetOf(plannedTarget()), usage, source: 'provider' });
    await machine.settler.drain({ timeoutMs: 1000 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 999_997_000n, charges: 1 });
  });

  it.each([
    ['an outage longer than its term', (): number => -3_600_000, (nowMs: number): number => nowMs],
    ['a step of the database’s clock', (): number => 0, (nowMs: number): number => nowMs - 3_600_000],
  ])('keeps its hold and its lease over %s', async (_what, sentMs, databaseMs) => {
    await using machine = await startMachine(db.dataSource, { leases: true }, dataDir);
    await using other = await startMachine(db.dataSource, {}, dataDir);
    const plan = machine.quoter.quote(planOf(plannedTarget()), chat('hi', { max_tokens: 5 }), false);
    // The prices are stored with the first, of a lease is the third.
    const sessions = [1, 2, 3].map(() => machine.sessions.open(identityOf(user)));
    for (const session of sessions) await session.hold(plan);
    expect(machine.leases.heldNano(user)).toBeGreaterThan(0n);
    // The first word of each: it has seen the database's clock once.
    for (const { upkeep } of [other, machine]) await upkeep.runOnce();
    await db.dataSource.query("UPDATE hold SET expires_at = now() - interval '45 minutes'");
    await db.dataSource.query("UPDATE lease SET expires_at = now() - interval '45 minutes'");
    await db.dataSource.query("UPDATE gateway_instance SET heartbeat_at = now() - interval '1 hour'");
    for (const { instance } of [other, machine]) {
      instance.heard(performance.now() + sentMs(), databaseMs(Date.now()));
      if (sentMs() === 0) expect(instance.isInTouch).toBe(false);
    }
    // Who does not hold it is there first.
    await other.upkeep.runOnce();
    await machine.upkeep.runOnce();
    await machine.leases.tend();
    const rows = await db.dataSource.query<unknown[]>(
      `SELECT DISTINCT state, expires_at > now() + interval '10 minutes' AS renewed FROM hold
       UNION ALL SELECT 'lease', expires_at > now() + interval '10 minutes' FROM lease`,
    );
    expect(rows).toEqual([
      { state: 'open', renewed: true },
      { state: 'lease', renewed: true },
    ]);
    expect([...machine.events, ...other.events].filter(({ kind }) => kind === 'orphan-released')).toEqual([]);
    for (const session of sessions) await session.settle({ kind: 'release', reason: 'x' });
  });

  it('believes in nothing that a promoted standby does not have', async () => {
    await using machine = await startMachine(db.dataSource, { leases: true }, dataDir);
    const plan = machine.quoter.quote(planOf(plannedTarget()), chat('hi', { max_tokens: 5 }), false);
    const usage = { inputTokens: 1, outputTokens: 1 };
    const serve = async (): Promise<void> => {
      const session = machine.sessions.open(identityOf(user));
      await session.hold(plan);
      await session.settle({ kind: 'usage', target: targetOf(plannedTarget()), usage, source: 'provider' });
      await machine.settler.drain({ timeoutMs: 1000 });
    };
    const leases = () => db.dataSource.query<unknown[]>('SELECT id FROM lease');
    for (let requests = 0; requests < 3; requests += 1) await serve();
    await machine.upkeep.runOnce();
    expect(await leases()).toHaveLength(1);
    // What it lacks: the commits of the lease and of the price.
    await db.dataSource.query('DELETE FROM lease');
    await db.dataSource.query('UPDATE account SET held_nano = 0');
    await db.dataSource.query(
      'ALTER TABLE price_version DISABLE TRIGGER USER; DELETE FROM price_version; ALTER TABLE price_version ENABLE TRIGGER USER',
    );
    const serverSinceMs = 0;
    machine.instance.heard(performance.now(), Date.now(), serverSinceMs);
    await machine.upkeep.runOnce();
    await machine.leases.tend();
    for (let requests = 0; requests < 3; requests += 1) await serve();
    expect(await leases()).toHaveLength(1);
    expect((await runLedgerAudit(db.dataSource)).mismatches).toEqual([]);
  });

  it('keeps its hold although another instance starts before it is back from an outage', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    const running = order(user, 10n);
    await machine.holds.hold(running);
    await db.dataSource.query("UPDATE hold SET expires_at = now() - interval '45 minutes'");
    await using started = await startMachine(db.dataSource, {}, dataDir);
    await started.upkeep.onApplicationBootstrap();
    expect(await holdRow(running.billingId)).toMatchObject({ state: 'open' });
    await started.upkeep.beforeApplicationShutdown();
    expect(await holdRow(running.billingId)).toMatchObject({ state: 'open' });
  });

  it('keeps its hold although the database goes away while another takes over a journal, and so does a living host', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    await using other = await startMachine(db.dataSource, {}, dataDir);
    for (const { upkeep } of [machine, other]) await upkeep.runOnce();
    const [running, charged] = [order(user, 10n), order(user, 10n)];
    for (const hold of [running, charged]) await machine.holds.hold(hold);
    await deadJournal(dataDir, {}, { t: 'S', s: settling(charged, 7n).record });
    const elsewhere = await deadJournal(dataDir, { host: 'pod-2' });
    await db.dataSource.query("INSERT INTO gateway_instance (id, host) VALUES ($1, 'pod-2')", [elsewhere]);
    beforeBooking(other, async () => {
      await db.dataSource.query("UPDATE hold SET expires_at = now() - interval '45 minutes'");
      await db.dataSource.query("UPDATE gateway_instance SET heartbeat_at = now() - interval '1 hour'");
      other.instance.heard(performance.now() - 3_600_000);
    });
    await other.upkeep.runOnce();
    expect(await other.recovery.recover()).toBe(0);
    expect(await holdRow(charged.billingId)).toMatchObject({ state: 'captured' });
    expect(await readdir(join(dataDir, 'journal'))).toContain(elsewhere);
    expect(await holdRow(running.billingId)).toMatchObject({ state: 'open' });
  });

  it('keeps its hold over a step of the database’s clock between the beat of a round and its sweep', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    const running = order(user, 10n);
    await machine.holds.hold(running);
    const recover = machine.recovery.recover.bind(machine.recovery);
    machine.recovery.recover = async () => {
      await db.dataSource.query('UPDATE hold SET expires_at = now()');
      return recover();
    };
    await machine.upkeep.runOnce();
    expect(await holdRow(running.billingId)).toMatchObject({ state: 'open' });
  });

  it('keeps its hold, and its process beats, while a journal takes long to replay', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    const session = machine.sessions.open(identityOf(user));
    await session.hold(machine.quoter.quote(planOf(plannedTarget()), chat('hi', { max_tokens: 5 }), false));
    await machine.upkeep.runOnce();
    const charged = order(user, 10n);
    await machine.holds.hold(charged);
    const dead = await deadJournal(dataDir, {}, { t: 'S', s: settling(charged, 7n).record });
    const { promise: isBack, resolve: comeBack } = Promise.withResolvers<void>();
    const asked = beforeBooking(machine, () => isBack);
    await db.dataSource.query("UPDATE hold SET expires_at = now() - interval '45 minutes'");
    await db.dataSource.query("UPDATE gateway_instance SET heartbeat_at = now() - interval '1 hour'");
    machine.instance.heard(performance.now() - 3_600_000);
    for (let rounds = 0; rounds < 2; rounds += 1) await machine.upkeep.runOnce(50);
    const [row] = await db.dataSource.query<Record<string, unknown>[]>(
      `SELECT (SELECT heartbeat_at > now() - interval '1 minute' FROM gateway_instance) AS heard,
              (SELECT expires_at > now() FROM hold WHERE id <> $1) AS renewed`,
      [charged.billingId],
    );
    expect(row).toEqual({ heard: true, renewed: true });
    expect(asked).toEqual([charged.billingId]);
    comeBack();
    await machine.upkeep.runOnce();
    expect(await holdRow(charged.billingId)).toMatchObject({ state: 'captured' });
    expect(await readdir(join(dataDir, 'journal'))).not.toContain(dead);
    await session.settle({ kind: 'release', reason: 'x' });
  });

  it('that this process knows nothing of is given back, but not one that is young', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    const forgotten = order(user, 10n);
    await machine.holds.hold(forgotten);
    await machine.forgotten.tend([], []);
    expect(await holdRow(forgotten.billingId)).toMatchObject({ state: 'open' });
    await machine.forgotten.tend([], [], 0);
    await machine.settler.drain({ timeoutMs: 1000 });
    expect(await holdRow(forgotten.billingId)).toMatchObject({ state: 'released', outcome: 'forgotten' });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ held: 0n });
  });
});

describe('more than one statement takes at once', () => {
  it('of holds of a dead instance comes back in the same round', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    const dead = '00000000-0000-4000-8000-000000000001';
    await db.dataSource.query(MARK_REPLAYED, [dead, 'host']);
    await db.dataSource.query(
      `WITH held AS (
         INSERT INTO hold (id, request_id, user_id, model, stream, targets, amount_nano, bound_nano, instance_id, expires_at)
         SELECT gen_random_uuid(), 'r', $1, 'm', true, '[]', 1, 1, $2, now() + interval '1 hour' FROM generate_series(1, 1200)
         RETURNING amount_nano)
       UPDATE account SET held_nano = (SELECT sum(amount_nano) FROM held) WHERE user_id = $1`,
      [user, dead],
    );
    expect((await booksOf(db.dataSource, user)).openHolds).toBe(1200n);
    await machine.upkeep.runOnce();
    expect(await booksOf(db.dataSource, user)).toMatchObject({ held: 0n, openHolds: 0n });
  });

  it('of stored answers past their term goes in the same round, those within it stay', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    await db.dataSource.query(
      `INSERT INTO idempotent_response (user_id, idem_key, fingerprint, hold_id, instance_id, stream, status, body, expires_at)
       SELECT 'u', 'k' || n, '', gen_random_uuid(), gen_random_uuid(), false, 200, '{}',
              now() + CASE WHEN n <= 1200 THEN interval '-1 second' ELSE interval '1 hour' END
         FROM generate_series(1, 1201) n`,
    );
    await machine.upkeep.runOnce();
    const rows = await db.dataSource.query('SELECT idem_key FROM idempotent_response');
    expect(rows).toEqual([{ idem_key: 'k1201' }]);
  });
});

describe('a clean end', () => {
  it('books everything, frees what is held, says so, and leaves no journal behind', async () => {
    const machine = await startMachine(db.dataSource, {}, dataDir);
    await machine.upkeep.runOnce();
    const [settled, running] = [order(user, 10n), order(user, 10n)];
    await machine.holds.hold(settled);
    await machine.holds.hold(running);
    machine.settler.enqueue(settling(settled, 4n));
    await machine.upkeep.beforeApplicationShutdown();
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 999_999_996n, held: 0n, charges: 1 });
    expect(await readdir(join(dataDir, 'journal'))).toEqual([]);
    const [row] = await db.dataSource.query<{ replayed: boolean }[]>(
      'SELECT replayed_at IS NOT NULL AS replayed FROM gateway_instance',
    );
    expect(row?.replayed).toBe(true);
  });
});

describe('a journal without an owner', () => {
  it('is replayed, and only then its holds are freed', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    const [charged, lost] = [order(user, 10n), order(user, 20n)];
    await machine.holds.hold(charged);
    await machine.holds.hold(lost);
    const dead = await deadJournal(dataDir, {}, { t: 'S', s: settling(charged, 7n).record });
    await db.dataSource.query('UPDATE hold SET instance_id = $1', [dead]);
    await machine.upkeep.runOnce();
    expect(await holdRow(charged.billingId)).toMatchObject({ state: 'captured', captured_nano: '7' });
    expect(await holdRow(lost.billingId)).toMatchObject({ state: 'orphaned', outcome: 'gateway-died' });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 999_999_993n, held: 0n });
    expect(machine.events).toContainEqual({ kind: 'orphan-released', reason: 'evidence', count: 1 });
  });

  it('of a version that did not mark calls of unknown cost has their rows all the same', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    const hold = order(user, 10n);
    await machine.holds.hold(hold);
    const unmarked = { ...unansweredAttempt('first_chunk_timeout'), isCostUnknown: undefined };
    const attempts = [unmarked, { ...unmarked, outcome: 'circuit_open' }, { ...unmarked, outcome: 'ok' }];
    await deadJournal(dataDir, {}, { t: 'S', s: settling(hold, 7n, { attempts }).record });
    await machine.upkeep.runOnce();
    expect(await unknownCosts(db.dataSource, hold.billingId)).toEqual([
      { attempt: 1, provider: 'echo', reason: 'first_chunk_timeout' },
    ]);
    expect(await holdRow(hold.billingId)).toMatchObject({ state: 'captured', captured_nano: '7' });
  });

  it('of a version that knew less of a settlement is booked all the same', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    const hold = order(user, 10n);
    await machine.holds.hold(hold);
    const { unknown: _, attempts: __, ...older } = settling(hold, 7n).record;
    await deadJournal(dataDir, {}, { t: 'S', s: older });
    await machine.upkeep.runOnce();
    expect(await holdRow(hold.billingId)).toMatchObject({ state: 'captured', captured_nano: '7' });
    expect(await readdir(join(dataDir, 'journal'))).toEqual([machine.instance.id]);
  });

  it('says what was booked already, so that it is not sent again', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    const hold = order(user, 10n);
    await machine.holds.hold(hold);
    await deadJournal(
      dataDir,
      {},
      { t: 'S', s: settling(hold, 7n).record },
      { t: 'D', ids: [hold.billingId] },
    );
    await machine.upkeep.runOnce();
    expect(await holdRow(hold.billingId)).toMatchObject({ state: 'open' });
  });

  it('of an earlier boot of this machine is dead whatever its process id says', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    await deadJournal(dataDir, { boot: 'another', process: String(process.pid) });
    expect(await machine.recovery.recover()).toBe(1);
  });

  it('of another host is left alone until that host has been silent for long', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    await machine.upkeep.runOnce();
    const elsewhere = await deadJournal(dataDir, { host: 'pod-2' });
    expect(await machine.recovery.recover()).toBe(0);
    await db.dataSource.query(
      "INSERT INTO gateway_instance (id, host, heartbeat_at) VALUES ($1, 'pod-2', now() - interval '1 minute')",
      [elsewhere],
    );
    expect(await machine.recovery.recover()).toBe(0);
    await db.dataSource.query("UPDATE gateway_instance SET heartbeat_at = now() - interval '1 hour'");
    expect(await machine.recovery.recover()).toBe(1);
  });

  it('of another host is left alone over a step of the database’s clock since this one’s beat', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    machine.instance.heard(performance.now(), Date.now() - 3_600_000);
    const elsewhere = await deadJournal(dataDir, { host: 'pod-2' });
    await db.dataSource.query(
      "INSERT INTO gateway_instance (id, host, heartbeat_at) VALUES ($1, 'pod-2', now() - interval '1 hour')",
      [elsewhere],
    );
    expect(await machine.recovery.recover()).toBe(0);
  });

  it('of another host is left alone when this one has been out of touch itself', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    await machine.upkeep.runOnce();
    const elsewhere = await deadJournal(dataDir, { host: 'pod-2' });
    await db.dataSource.query("INSERT INTO gateway_instance (id, host) VALUES ($1, 'pod-2')", [elsewhere]);
    // The database was away, for everybody; the other is about to say that it lives.
    await db.dataSource.query("UPDATE gateway_instance SET heartbeat_at = now() - interval '1 hour'");
    machine.instance.heard(performance.now() - 3_600_000);
    await machine.upkeep.runOnce();
    expect(await readdir(join(dataDir, 'journal'))).toContain(elsewhere);
    expect(machine.events).toEqual([]);
  });

  it('of a living process is left alone', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    await using other = await startMachine(db.dataSource, {}, dataDir);
    expect(await machine.recovery.recover()).toBe(0);
    expect(await readdir(other.journal.directory)).toContain('owner.json');
  });

  it('with a settlement that the database refuses keeps it for a human', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    const good = order(user, 10n);
    await machine.holds.hold(good);
    const bad = settling(order(user, 10n), 7n, { cost: 'nonsense' });
    const dead = await deadJournal(
      dataDir,
      {},
      { t: 'S', s: bad.record },
      { t: 'S', s: settling(good, 7n).record },
    );
    await machine.upkeep.runOnce();
    expect(await holdRow(good.billingId)).toMatchObject({ state: 'captured' });
    const kept = await readFile(join(dataDir, 'journal', `refused-${dead}.jsonl`), 'utf8');
    expect(JSON.parse(kept)).toMatchObject({ id: bad.record.id });
    expect(machine.settler.refused).toBe(1);
    expect(machine.events).toContainEqual(
      expect.objectContaining({ kind: 'unexpected-error', where: 'settlement' }),
    );
  });
});

describe('books of another currency', () => {
  it('are not taken for ours: the start ends, and what is there stays as it is', async () => {
    await using ours = await startMachine(db.dataSource, { currency: 'USD' }, dataDir);
    const quote = ours.quoter.quote(planOf(plannedTarget()), chat('hi', { max_tokens: 5 }), false);
    const session = ours.sessions.open(identityOf(user));
    await session.hold(quote);
    await session.settle({ kind: 'release', reason: 'x' });
    await using others = await startMachine(db.dataSource, { currency: 'EUR' }, dataDir);
    await expect(others.upkeep.onApplicationBootstrap()).rejects.toThrow(
      'BILLING_CURRENCY: the ledger of this database is kept in USD, and amounts are not converted to EUR',
    );
    await expect(Promise.resolve(others.sessions.open(identityOf(user)).hold(quote))).rejects.toMatchObject({
      code: 'database_unavailable',
    });
    await others.upkeep.beforeApplicationShutdown();
    // Nobody looks first: what was served on credit while the database was away is not booked before the books are seen.
    await using back = await startMachine(db.dataSource, { currency: 'EUR' }, dataDir);
    const entries = async (): Promise<unknown> =>
      (
        await db.dataSource.query(
          `SELECT (SELECT count(*) FROM ledger) AS ledger, (SELECT count(*) FROM price_version) AS prices`,
        )
      )[0];
    const before = await entries();
    const onCredit = order(user, 10n);
    const target = plannedTarget({ priceVersion: 'another' });
    back.prices.remember(targetOf(target), target.price);
    back.settler.enqueue(settling(onCredit, 7n));
    await back.settler.drain({ timeoutMs: 500 });
    expect(await entries()).toEqual(before);
    expect([back.settler.pending, back.settler.refused, back.instance.isFenced]).toEqual([1, 0, true]);
    // Prices of another currency that came in nevertheless lock nobody out.
    await db.dataSource.query(
      `INSERT INTO price_version (id, provider, model, card, currency) VALUES ('other', 'p', 'm', '{}', 'CHF')`,
    );
    await using again = await startMachine(db.dataSource, { currency: 'USD' }, dataDir);
    await again.upkeep.onApplicationBootstrap();
    expect(again.instance.isFenced).toBe(false);
    await again.upkeep.beforeApplicationShutdown();
  });
});

describe('an instance that was declared dead while it slept', () => {
  it('takes no more requests, and says why', async () => {
    await using machine = await startMachine(db.dataSource, {}, dataDir);
    await machine.upkeep.runOnce();
    await db.dataSource.query('UPDATE gateway_instance SET replayed_at = now()');
    await machine.upkeep.runOnce();
    expect(machine.instance.isFenced).toBe(true);
    const session = machine.sessions.open(identityOf(user));
    const quote = machine.quoter.quote(planOf(plannedTarget()), chat('hi'), false);
    await expect(session.hold(quote)).rejects.toMatchObject({ code: 'database_unavailable' });
    expect(machine.events).toContainEqual(
      expect.objectContaining({ kind: 'unexpected-error', where: 'billing upkeep' }),
    );
  });
});
