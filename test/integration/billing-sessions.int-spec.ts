import { GatewayError } from '@app/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HoldQuote } from '../../src/billing/billing-session.js';
import { readJournal } from '../../src/billing/journal/journal-reader.js';
import type { PlannedTarget } from '../../src/routing/route-plan.js';
import {
  type BillingDatabase,
  type BillingMachine,
  booksOf,
  chat,
  fund,
  identityOf,
  openBillingDatabase,
  plannedTarget,
  planOf,
  PRICES,
  startMachine,
  targetOf,
  userId,
  unansweredAttempt,
  unknownCosts,
} from './billing-support.js';

let db: BillingDatabase;
let machine: BillingMachine;

beforeAll(async () => {
  db = await openBillingDatabase();
  machine = await startMachine(db.dataSource);
});
afterAll(async () => {
  await machine[Symbol.asyncDispose]();
  await db.close();
});

const INPUT_PRICE = 1000n;
const OUTPUT_PRICE = 2000n;

async function funded(nano: bigint): Promise<string> {
  const user = userId();
  await fund(db.dataSource, user, nano);
  return user;
}

function open(user: string) {
  const identity = identityOf(user);
  return { identity, session: machine.sessions.open(identity) };
}

function quote(
  changes: Parameters<typeof chat>[1] = {},
  target: PlannedTarget = plannedTarget(),
  text = 'Say hello.',
): HoldQuote {
  return machine.quoter.quote(planOf(target), chat(text, changes), changes.stream === true);
}

/** Nano that the input of a quote costs at most. */
const inputOf = (each: HoldQuote) => BigInt(each.inputTokensBound) * INPUT_PRICE;

const usage = (inputTokens: number, outputTokens: number) => ({
  kind: 'usage' as const,
  target: targetOf(plannedTarget()),
  usage: { inputTokens, outputTokens },
  source: 'provider' as const,
});

async function holdRow(id: string) {
  const [row] = await db.dataSource.query<Record<string, string>[]>('SELECT * FROM hold WHERE id = $1', [id]);
  return row;
}

describe('the output limit', () => {
  it("is the model's own when the balance covers it", async () => {
    const { session, identity } = open(await funded(1_000_000_000n));
    const plenty = quote();
    expect(await session.hold(plenty)).toEqual({ maxOutputTokens: undefined });
    expect(await holdRow(identity.billingId)).toMatchObject({
      amount_nano: String(inputOf(plenty) + 1000n * OUTPUT_PRICE),
      state: 'open',
    });
  });

  it('is asked for once, and not when the session is over', async () => {
    const { session } = open(await funded(1_000_000_000n));
    await session.hold(quote());
    await expect(session.hold(quote())).rejects.toThrow('holds once');
    const over = open(userId()).session;
    await over.settle({ kind: 'release', reason: 'x' });
    await expect(over.hold(quote())).rejects.toThrow('holds once');
  });

  it('is lowered to what the balance covers when the client named none', async () => {
    const plain = quote();
    const user = await funded(inputOf(plain) + 100n * OUTPUT_PRICE + 1999n);
    const { session } = open(user);
    const { maxOutputTokens } = await session.hold({ ...plain, refine: undefined });
    expect(maxOutputTokens).toBe(100);
    expect((await booksOf(db.dataSource, user)).held).toBe(inputOf(plain) + 100n * OUTPUT_PRICE + 1999n);
  });

  it('is what the client named, and refused with 402 when that is not covered', async () => {
    const named = quote({ max_tokens: 100 });
    const user = await funded(inputOf(named) + 100n * OUTPUT_PRICE);
    expect(await open(user).session.hold({ ...named, refine: undefined })).toEqual({ maxOutputTokens: 100 });
    const second = open(await funded(inputOf(named) + 100n * OUTPUT_PRICE - 1n));
    await expect(second.session.hold({ ...named, refine: undefined })).rejects.toMatchObject({
      status: 402,
      code: 'insufficient_balance',
    });
  });

  it("is never above the model's", async () => {
    const { session } = open(await funded(1_000_000_000n));
    expect(await session.hold(quote({ max_completion_tokens: 50_000 }))).toEqual({ maxOutputTokens: 1000 });
  });

  it('counts each of several answers', async () => {
    const three = quote({ n: 3 });
    const { session } = open(await funded(inputOf(three) + 300n * OUTPUT_PRICE));
    expect(await session.hold({ ...three, refine: undefined })).toEqual({ maxOutputTokens: 100 });
  });

  it('is worked out from counted input when the bound in bytes is what the money falls short of', async () => {
    const text = 'The quick brown fox jumps over the lazy dog. '.repeat(40);
    const named = quote({ max_tokens: 100 }, plannedTarget(), text);
    const refined = await named.refine?.();
    if (!refined) throw new Error('there is a refined quote');
    expect(inputOf(refined) * 2n).toBeLessThan(inputOf(named));
    const user = await funded(inputOf(refined) + 100n * OUTPUT_PRICE);
    expect(await open(user).session.hold(named)).toEqual({ maxOutputTokens: 100 });
    const lowered = await open(await funded(inputOf(named) + 10n * OUTPUT_PRICE)).session.hold(
      quote({}, plannedTarget(), text),
    );
    expect(lowered.maxOutputTokens).toBeGreaterThan(400);
  });
});

describe('a balance that covers nothing', () => {
  it('is 402, whether a limit was named or not', async () => {
    for (const changes of [{}, { max_tokens: 1 }, { stream: true }]) {
      const { session } = open(await funded(1n));
      const error = await Promise.resolve(session.hold(quote(changes))).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(GatewayError);
      expect(error).toMatchObject({ code: 'insufficient_balance' });
    }
  });

  it('is enough for what is free', async () => {
    const free = plannedTarget({ price: { ...PRICES, base: { inputPico: 0n, outputPico: 0n } } });
    const user = await funded(1n);
    const { session } = open(user);
    expect(await session.hold(quote({}, free))).toEqual({ maxOutputTokens: undefined });
    await session.settle({ ...usage(10, 10), target: targetOf(free) });
    await machine.settler.drain({ timeoutMs: 1000 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 1n, held: 0n, charges: 1 });
  });
});

describe('a stream', () => {
  const long = plannedTarget({ maxOutputTokens: 20_000 });
  const SLICE = 4096n * OUTPUT_PRICE;

  it('holds a slice first, though the whole must be affordable when the client named it', async () => {
    const named = quote({ stream: true, max_tokens: 20_000 }, long);
    const user = await funded(inputOf(named) + 20_000n * OUTPUT_PRICE);
    const { session } = open(user);
    expect(await session.hold(named)).toEqual({ maxOutputTokens: 20_000 });
    expect((await booksOf(db.dataSource, user)).held).toBe(inputOf(named) + SLICE);
    const poor = open(await funded(inputOf(named) + 20_000n * OUTPUT_PRICE - 1n));
    await expect(poor.session.hold({ ...named, refine: undefined })).rejects.toMatchObject({
      code: 'insufficient_balance',
    });
  });

  it('extends ahead of need, and never beyond its limit', async () => {
    const named = quote({ stream: true, max_tokens: 10_000 }, long);
    const user = await funded(1_000_000_000n);
    const { session } = open(user);
    await session.hold(named);
    expect(session.covers(3000)).toBe(true);
    expect((await booksOf(db.dataSource, user)).held).toBe(inputOf(named) + SLICE);
    expect(session.covers(3100)).toBe(true);
    await expect
      .poll(async () => (await booksOf(db.dataSource, user)).held)
      .toBe(inputOf(named) + 2n * SLICE);
    expect(session.covers(3200)).toBe(true);
    expect(await session.covers(9999)).toBe(true);
    expect((await booksOf(db.dataSource, user)).held).toBe(inputOf(named) + 10_000n * OUTPUT_PRICE);
    expect(session.covers(1_000_000)).toBe(true);
  });

  it('of two answers holds for both', async () => {
    const two = quote({ stream: true, n: 2 }, long);
    const user = await funded(1_000_000_000n);
    const { session } = open(user);
    await session.hold(two);
    expect((await booksOf(db.dataSource, user)).held).toBe(inputOf(two) + SLICE);
    expect(await session.covers(4097)).toBe(true);
    expect((await booksOf(db.dataSource, user)).held).toBe(inputOf(two) + 2n * SLICE);
  });

  it('ends where the money ends', async () => {
    const open_ = quote({ stream: true }, long);
    const user = await funded(inputOf(open_) + 6000n * OUTPUT_PRICE);
    const { session } = open(user);
    expect(await session.hold({ ...open_, refine: undefined })).toEqual({ maxOutputTokens: 6000 });
    // Somebody else takes what the next slice would have needed.
    await open(user).session.hold({ ...quote({ max_tokens: 900 }), refine: undefined });
    expect(await session.covers(4097)).toBe(false);
    expect(session.covers(3000)).toBe(true);
    await session.settle(usage(10, 4096));
    await machine.settler.drain({ timeoutMs: 1000 });
    expect((await holdRow(session.billingId))?.['shortfall_nano']).toBe('0');
  });

  it('that reasons holds its whole worst case: nobody sees what it uses up', async () => {
    const thinking = plannedTarget({
      maxOutputTokens: 20_000,
      capabilities: { ...long.capabilities, reasoning: true },
    });
    const named = quote({ stream: true, max_tokens: 20_000 }, thinking);
    const user = await funded(1_000_000_000n);
    const { session } = open(user);
    await session.hold(named);
    expect((await booksOf(db.dataSource, user)).held).toBe(inputOf(named) + 20_000n * OUTPUT_PRICE);
    expect(session.covers(19_999)).toBe(true);
  });
});

describe('settling', () => {
  it('is durable before it resolves, and charged to the last nano', async () => {
    const user = await funded(1_000_000_000n);
    const { session, identity } = open(user);
    await session.hold(quote());
    session.attempt({
      provider: 'echo',
      upstreamModel: 'echo',
      outcome: 'ok',
      upstreamStatus: 200,
      providerRequestId: 'p-1',
      durationMs: 12.4,
    });
    const settled = session.settle(usage(11, 7));
    expect(session.closed).toBe(true);
    expect(await settled).toEqual({ costNanoUsd: 11n * INPUT_PRICE + 7n * OUTPUT_PRICE });
    const { settlements } = await readJournal(machine.journal.directory);
    // Booked ones are struck off soon after; this one is either there or booked already.
    await machine.settler.drain({ timeoutMs: 1000 });
    const booked = await holdRow(identity.billingId);
    expect(settlements.some(({ id }) => id === identity.billingId) || booked?.['state'] === 'captured').toBe(
      true,
    );
    const [entry] = await db.dataSource.query('SELECT * FROM ledger WHERE id = $1', [identity.billingId]);
    expect(entry).toMatchObject({
      kind: 'charge',
      amount_nano: '-25000',
      description: 'Chat completion with echo',
      model: 'echo',
      provider: 'echo',
      request_id: identity.requestId,
      usage: { inputTokens: 11, outputTokens: 7 },
      usage_source: 'provider',
      price_version: targetOf(plannedTarget()).priceVersion,
    });
    expect(booked?.['attempts']).toMatchObject([
      { provider: 'echo', durationMs: 12, providerRequestId: 'p-1' },
    ]);
  });

  it('happens once: the second call changes nothing', async () => {
    const user = await funded(1_000_000_000n);
    const { session } = open(user);
    await session.hold(quote());
    const [first, second, third] = await Promise.all([
      session.settle(usage(10, 10)),
      session.settle(usage(500, 500)),
      session.settle({ kind: 'release', reason: 'late' }),
    ]);
    expect([first, second, third].map((each) => each?.costNanoUsd)).toEqual([30_000n, 30_000n, 30_000n]);
    await machine.settler.drain({ timeoutMs: 1000 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({
      balance: 1_000_000_000n - 30_000n,
      held: 0n,
      charges: 1,
    });
  });

  it('charges at most 1.10 × what was accepted; the rest is the operator’s', async () => {
    const user = await funded(1_000_000_000n);
    const { session } = open(user);
    const named = quote({ max_tokens: 10 });
    await session.hold(named);
    const bound = inputOf(named) + 10n * OUTPUT_PRICE;
    expect((await session.settle(usage(100_000, 100_000))).costNanoUsd).toBe((bound * 110n) / 100n);
    await machine.settler.drain({ timeoutMs: 1000 });
    expect(await holdRow(session.billingId)).toMatchObject({
      captured_nano: String((bound * 110n) / 100n),
      shortfall_nano: String(300_000_000n - (bound * 110n) / 100n),
    });
  });

  it('survives counts that are none', async () => {
    const user = await funded(1_000_000_000n);
    const { session } = open(user);
    await session.hold(quote());
    expect(await session.settle(usage(Number.NaN, -3))).toEqual({ costNanoUsd: 0n });
  });

  it.each(['a\0b', '\ud800', 'x'.repeat(100_000)])(
    'charges whatever a provider calls its answer',
    async (id) => {
      const user = await funded(1_000_000_000n);
      const { session, identity } = open(user);
      await session.hold(quote());
      session.attempt({ ...unansweredAttempt('ok'), isCostUnknown: undefined, providerRequestId: id });
      await session.settle(usage(11, 7));
      await machine.settler.drain({ timeoutMs: 2000 });
      expect(machine.settler.refused).toBe(0);
      const row = await holdRow(identity.billingId);
      expect(row).toMatchObject({ state: 'captured' });
      expect(JSON.stringify(row?.['attempts']).length).toBeLessThan(1_000);
    },
  );

  it('gives everything back on release, and notes a cost nobody knows', async () => {
    const user = await funded(1_000_000_000n);
    const released = open(user);
    await released.session.hold(quote());
    await released.session.settle({ kind: 'release', reason: 'provider_overloaded' });
    const lost = open(user);
    await lost.session.hold(quote());
    lost.session.attempt(unansweredAttempt('first_chunk_timeout'));
    lost.session.attempt({ ...unansweredAttempt('circuit_open'), isCostUnknown: undefined });
    lost.session.attempt(unansweredAttempt('request_timeout'));
    await lost.session.settle({ kind: 'release', reason: 'request_timeout' });
    await machine.settler.drain({ timeoutMs: 1000 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({
      balance: 1_000_000_000n,
      held: 0n,
      charges: 0,
    });
    const event = {
      kind: 'unknown-cost',
      provider: 'echo',
      model: plannedTarget().upstreamModel,
      requestId: lost.identity.requestId,
      userId: user,
    };
    expect(machine.events.filter(({ kind }) => kind === 'unknown-cost')).toEqual([event, event]);
    const rows = await unknownCosts(db.dataSource, lost.identity.billingId);
    expect(rows).toEqual([
      { attempt: 1, provider: 'echo', reason: 'first_chunk_timeout' },
      { attempt: 3, provider: 'echo', reason: 'request_timeout' },
    ]);
  });

  it('notes a call that had begun to answer and was cut, in the journal too, so that no crash forgets it', async () => {
    const user = await funded(1_000_000_000n);
    const { session, identity } = open(user);
    await session.hold(quote());
    session.attempt({ ...unansweredAttempt('circuit_open'), isCostUnknown: undefined });
    session.attempt({ ...unansweredAttempt('ok'), isCostUnknown: undefined });
    let isDone = false;
    const appended = machine.journal.append.bind(machine.journal);
    const written: unknown[] = [];
    machine.journal.append = (record) => {
      written.push(isDone || record);
      return appended(record);
    };
    await session.settle({ kind: 'release', reason: 'draining', isCostUnknown: true });
    isDone = true;
    machine.journal.append = appended;
    expect(written).toMatchObject([{ t: 'S', s: { id: identity.billingId, release: true, unknown: true } }]);
    await machine.settler.drain({ timeoutMs: 1000 });
    expect(await unknownCosts(db.dataSource, identity.billingId)).toEqual([
      { attempt: 2, provider: 'echo', reason: 'draining' },
    ]);
    expect(machine.events).toContainEqual(
      expect.objectContaining({ kind: 'unknown-cost', requestId: identity.requestId }),
    );
    expect(await booksOf(db.dataSource, user)).toMatchObject({
      balance: 1_000_000_000n,
      held: 0n,
      charges: 0,
    });
  });

  it('without a hold costs nothing', async () => {
    expect(await open(userId()).session.settle({ kind: 'release', reason: 'x' })).toEqual({
      costNanoUsd: 0n,
    });
  });
});

describe('an answer from the cache', () => {
  it('is free by default, and leaves no trace', async () => {
    const { session, identity } = open(await funded(100n));
    expect(await session.settle({ ...usage(10, 10), kind: 'cache-hit' })).toEqual({ costNanoUsd: 0n });
    expect(await holdRow(identity.billingId)).toBeUndefined();
  });

  it('costs its share when the operator says so, and not more than there is', async () => {
    await using priced = await startMachine(db.dataSource, { cacheHitPriceFactor: '0.1' });
    priced.prices.remember(targetOf(plannedTarget()), PRICES);
    const user = await funded(1_000_000n);
    const identity = identityOf(user);
    const session = priced.sessions.open(identity);
    expect(await session.settle({ ...usage(10, 10), kind: 'cache-hit' })).toEqual({ costNanoUsd: 3000n });
    await priced.settler.drain({ timeoutMs: 1000 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 997_000n, held: 0n, charges: 1 });
    const poor = priced.sessions.open(identityOf(await funded(1n)));
    await expect(poor.settle({ ...usage(10, 10), kind: 'cache-hit' })).rejects.toMatchObject({
      code: 'insufficient_balance',
    });
  });
});

describe('BILLING_ENABLED=false', () => {
  it('covers everything and books nothing', async () => {
    await using off = await startMachine(db.dataSource, { enabled: false });
    const session = off.sessions.open(identityOf(userId()));
    expect(await session.hold(quote())).toEqual({ maxOutputTokens: undefined });
    expect(session.covers(1_000_000)).toBe(true);
    expect(await session.settle(usage(10, 10))).toEqual({ costNanoUsd: 0n });
    expect(session.closed).toBe(true);
  });
});
