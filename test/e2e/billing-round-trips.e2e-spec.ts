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
import { SETTLE_BATCH, SETTLE_ONE } from '../../src/billing/settle/settle-statements.js';
import { PostgresTap } from '../support/postgres-tap.js';

const NAMES = new Map([
  [HOLD_SIMPLE, 'hold'],
  [HOLD_BATCH, 'hold'],
  [SETTLE_ONE, 'settle'],
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
    await booked();
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

  const booked = () =>
    eventually('everything is booked', async () => {
      const rows = await database.query(
        `SELECT 1 FROM hold h WHERE state = 'open' OR (idem_key IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM idempotent_response r WHERE r.hold_id = h.id AND r.status IS NOT NULL))`,
      );
      return rows.length === 0;
    });

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
  ])('%s, alone: one to hold, one to settle', async (_kind, more) => {
    for (let turn = 0; turn < 20; turn += 1) await (await ask('alice', more)).text();
    await booked();
    const { hold, settle, claim, store, other = 0 } = counted();
    expect({ hold, claim, store }).toEqual({ hold: 20, claim: undefined, store: undefined });
    // What is settled while an earlier one is being booked goes with the next.
    expect(settle).toBeLessThanOrEqual(20);
    expect(tap.roundTrips).toBeLessThanOrEqual(20 + (settle ?? 0) + other);
  });

  it('with an Idempotency-Key: one more to claim it, one more to store the answer', async () => {
    for (let turn = 0; turn < 20; turn += 1) {
      await (await ask('alice', {}, { 'idempotency-key': `round-trip-${turn}` })).text();
    }
    await booked();
    const { hold, claim, store } = counted();
    expect({ hold, claim, store }).toEqual({ hold: 20, claim: 20, store: 20 });
  });

  it('many at once share them', async () => {
    const callers = Array.from({ length: 64 }, async (_, caller) => {
      for (let turn = 0; turn < 8; turn += 1) await (await ask(caller % 2 === 0 ? 'alice' : 'bob')).text();
    });
    await Promise.all(callers);
    await booked();
    const { hold = 0, settle = 0 } = counted();
    console.log(`512 requests, 64 at once: ${hold} statements to hold, ${settle} to settle`);
    expect(hold + settle).toBeLessThan(512);
  });
});
