import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HOLD_BATCH, HOLD_SIMPLE } from '../../src/billing/holds/hold-statements.js';
import { CLAIM_KEY, STORE_CHARGED_RESPONSE } from '../../src/billing/idempotency/idempotency-statements.js';
import { GRANT_LEASES } from '../../src/billing/leases/lease-statements.js';
import { SETTLE_BATCH, SETTLE_LEASED, SETTLE_ONE } from '../../src/billing/settle/settle-statements.js';
import { PostgresTap } from '../support/postgres-tap.js';

const NAMES = new Map([
  [HOLD_SIMPLE, 'hold'],
  [HOLD_BATCH, 'hold'],
  [GRANT_LEASES, 'lease'],
  [SETTLE_ONE, 'settle'],
  [SETTLE_LEASED, 'settle'],
  [SETTLE_BATCH, 'settle'],
  [CLAIM_KEY, 'claim'],
  [STORE_CHARGED_RESPONSE, 'store'],
]);

/** What a request costs the database, as seen on the wire of the running program. */
describe('statements and round trips of a request', () => {
  let tap: PostgresTap;
  let upstream: FakeUpstream;
  let database: TestDatabase;
  let gateway: Gateway;

  beforeAll(async () => {
    upstream = await FakeUpstream.start();
    database = await createDatabase();
    tap = await PostgresTap.start(database.url);
    gateway = await startGateway({
      env: {
        ...upstream.env,
        DATABASE_URL: tap.url,
        RATE_LIMIT_REQUESTS_PER_MINUTE: '1000000',
        RATE_LIMIT_REQUESTS_PER_HOUR: '1000000',
      },
    });
    // The first request opens the account and stores the price.
    for (const user of ['alice', 'bob']) await (await ask(user)).text();
    await booked(2);
  });
  afterAll(async () => {
    await gateway?.stop();
    await tap?.[Symbol.asyncDispose]();
    await upstream?.stop();
    await database?.drop();
  });
  beforeEach(() => tap.reset());

  const ask = (user: string, more: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
    gateway.complete(
      { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'one two three' }], ...more },
      user,
      headers,
    );

  /** Resolves when so many charges are booked in all, and their answers stored. */
  async function booked(total: number): Promise<void> {
    await eventually('everything is booked', async () => {
      const unstored = await database.query(
        `SELECT 1 FROM hold h WHERE idem_key IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM idempotent_response r WHERE r.hold_id = h.id AND r.status IS NOT NULL)`,
      );
      return unstored.length === 0 && (await charges()) >= total;
    });
  }

  async function charges(): Promise<number> {
    const [row] = await database.query<{ count: number }>(
      "SELECT count(*)::int AS count FROM ledger WHERE kind = 'charge'",
    );
    return row?.count ?? 0;
  }

  /** Of the way of a request; whatever else is said meanwhile (heartbeats, sweeps) goes under `other`. */
  function counted(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const [sql, count] of tap.statements) {
      const name = NAMES.get(sql) ?? 'other';
      counts[name] = (counts[name] ?? 0) + count;
    }
    return counts;
  }

  it.each([
    ['whole', {}],
    ['streamed', { stream: true }],
  ])('%s, of somebody new: one to hold, one to settle', async (kind, more) => {
    const total = (await charges()) + 20;
    for (let turn = 0; turn < 20; turn += 1) {
      // Opening the account is not counted.
      const user = `new-${kind}-${turn}`;
      await database.query('INSERT INTO account (user_id, balance_nano) VALUES ($1, 1000000000)', [user]);
      await (await ask(user, more)).text();
    }
    await booked(total);
    const { hold, settle, lease, claim, store, other = 0 } = counted();
    expect({ hold, lease, claim, store }).toEqual({ hold: 20 });
    // What is settled while an earlier one is being booked goes with the next.
    expect(settle).toBeLessThanOrEqual(20);
    expect(tap.roundTrips).toBeLessThanOrEqual(20 + (settle ?? 0) + other);
  });

  it.each([
    ['whole', {}],
    ['streamed', { stream: true }],
  ])(
    '%s, of somebody who asks again and again: one to reserve ahead for all, one to settle',
    async (_kind, more) => {
      const total = (await charges()) + 20;
      for (let turn = 0; turn < 20; turn += 1) await (await ask('alice', more)).text();
      await booked(total);
      const { hold = 0, lease = 0, settle = 0, claim, store } = counted();
      expect({ claim, store }).toEqual({});
      expect(hold + lease).toBeLessThanOrEqual(2);
      expect(settle).toBeLessThanOrEqual(20);
    },
  );

  it('with an Idempotency-Key: one more to claim it, one more to store the answer', async () => {
    const total = (await charges()) + 20;
    for (let turn = 0; turn < 20; turn += 1) {
      await (await ask('alice', {}, { 'idempotency-key': `round-trip-${turn}` })).text();
    }
    await booked(total);
    const { hold, claim, store } = counted();
    expect({ hold, claim, store }).toEqual({ hold: 20, claim: 20, store: 20 });
  });

  it('many at once share them', async () => {
    const total = (await charges()) + 512;
    const callers = Array.from({ length: 64 }, async (_, caller) => {
      for (let turn = 0; turn < 8; turn += 1) await (await ask(caller % 2 === 0 ? 'alice' : 'bob')).text();
    });
    await Promise.all(callers);
    await booked(total);
    const { hold = 0, lease = 0, settle = 0 } = counted();
    console.log(`512 requests, 64 at once: ${hold + lease} statements to hold, ${settle} to settle`);
    expect(hold + lease + settle).toBeLessThan(128);
  });
});
