import {
  createDatabase,
  eventually,
  FakeUpstream,
  FaultProxy,
  type Gateway,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { HELD_BY_REQUESTS } from '../../src/billing/accounts/account-statements.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { outcomes, type Seen, see } from '../support/measure-load.js';

/** Postgres does what it is told, and its answer never arrives. */
const LOSE_ANSWERS = { down: { resetAfterBytes: 1 } };

describe('the connection to Postgres is cut while it commits', () => {
  let upstream: FakeUpstream;
  let database: TestDatabase;
  let postgres: FaultProxy;
  let gateway: Gateway;

  beforeAll(async () => {
    upstream = await FakeUpstream.start();
    database = await createDatabase();
    postgres = await FaultProxy.start(database.url);
    gateway = await startGateway({
      env: {
        ...upstream.env,
        DATABASE_URL: postgres.through(database.url),
        RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
        RATE_LIMIT_REQUESTS_PER_HOUR: '1000000',
      },
    });
  });
  afterEach(() => postgres.heal());
  afterAll(async () => {
    await gateway?.stop();
    await upstream?.stop();
    await postgres?.stop();
    await database?.drop();
  });

  const ask = (user: string): Promise<Response> =>
    gateway.complete(
      { model: 'gpt-4o-mini', max_tokens: 50, messages: [{ role: 'user', content: 'hello' }] },
      user,
    );

  async function booksOf(userPrefix: string): Promise<{ charges: number; held: string; unbalanced: number }> {
    const [row] = await database.query<{ charges: number; held: string; unbalanced: number }>(
      `SELECT (SELECT count(*)::int FROM ledger WHERE user_id LIKE $1 AND kind = 'charge') AS charges,
              (SELECT coalesce(sum(${HELD_BY_REQUESTS}), 0)::text FROM account WHERE user_id LIKE $1) AS held,
              (SELECT count(*)::int FROM account WHERE user_id LIKE $1 AND balance_nano <>
                 (SELECT sum(amount_nano) FROM ledger WHERE ledger.user_id = account.user_id)) AS unbalanced`,
      [`${userPrefix}%`],
    );
    return row!;
  }

  async function isJournalEmpty(): Promise<boolean> {
    const text = await (await gateway.fetch('/metrics')).text();
    return /^llm_gateway_journal_unsettled_records(?:{[^}]*})? 0$/m.test(text);
  }

  /** False when a statement of the gateway's own household had the one answer to lose, and no connection was left. */
  async function isBookedUnheard(round: number): Promise<boolean> {
    const user = `settler-${round}`;
    await ask(user);
    // Or its charge would need an answer of its own.
    await eventually('the first is booked', async () => (await booksOf(user)).charges === 1);
    const { length } = await upstream.requests();
    await upstream.answerNext({ gate: user, body: { builtIn: true } });
    const answer = see(() => ask(user));
    await upstream.waitForRequests(length + 1);
    postgres.faults = LOSE_ANSWERS;
    await upstream.release(user);
    expect(await answer).toMatchObject({ status: 200 });
    return eventually('Postgres has booked it', async () => (await booksOf(user)).charges === 2, 2_000).then(
      () => true,
      () => false,
    );
  }

  it('of the settlement: it went through, nobody heard of it, it is sent again and booked once', async () => {
    let round = 1;
    while (!(await isBookedUnheard(round))) {
      postgres.heal();
      await eventually('the journal is empty', isJournalEmpty);
      expect((round += 1), 'rounds in which nothing was booked').toBeLessThan(5);
    }
    postgres.heal();
    await eventually('the journal is empty', isJournalEmpty);
    expect(await booksOf(`settler-${round}`)).toEqual({ charges: 2, held: '0', unbalanced: 0 });
  });

  it('of anything, again and again under load: one charge for each answer, none for the others', async () => {
    const seen: Seen[] = [];
    let running = true;
    const client = async (index: number): Promise<void> => {
      while (running) {
        seen.push(await see(() => ask(`loser-${index % 4}`)));
        await sleep(10);
      }
    };
    const clients = Array.from({ length: 8 }, (_, index) => client(index));
    for (let round = 0; round < 12; round++) {
      postgres.faults = LOSE_ANSWERS;
      await sleep(40 + round * 5);
      postgres.heal();
      await sleep(300);
    }
    running = false;
    await Promise.all(clients);
    const served = outcomes(seen)['200'] ?? 0;
    expect(
      Object.keys(outcomes(seen)).filter((key) => !/^200$|^503 database_unavailable$/.test(key)),
    ).toEqual([]);
    expect(served).toBeGreaterThan(20);
    await eventually(
      'all booked, and every hold given back',
      async () => {
        const { charges, held } = await booksOf('loser-');
        return charges >= served && held === '0';
      },
      15_000,
      100,
    );
    expect(await booksOf('loser-')).toEqual({ charges: served, held: '0', unbalanced: 0 });
  });
});
