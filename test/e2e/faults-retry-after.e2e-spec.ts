import { ownGateway, WITHOUT_LIMITS } from '@app/testing';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { outcomes, see, seeAtOnce } from '../support/measure-load.js';

/** A model with a second way to be answered. */
const FILE = `
models:
  two-ways:
    targets: [{ provider: openai, model: gpt-4o }]
    fallbacks: [claude-haiku-4-5]
    price: { input_per_million: "1", output_per_million: "2" }
    context_window: 8192
    max_output_tokens: 1024
`;

/** A whole answer on a machine that does other things as well. */
const AT_ONCE_MS = 900;

describe('a provider that says when to come back', () => {
  const own = ownGateway(
    {
      ...WITHOUT_LIMITS,
      RETRY_BASE_DELAY: '0.01',
      CIRCUIT_BREAKER_ENABLED: 'false',
    },
    FILE,
  );

  beforeAll(() => earnRetries('gpt-4o-mini', 120));
  beforeEach(() => own.upstream.reset());

  const ask = (model: string, more: object = {}): Promise<Response> =>
    own.gateway.complete({ model, messages: [{ role: 'user', content: 'hello' }], ...more }, 'patient');

  /** So that the budget, a fifth of the calls of ten seconds, is not what a test runs into. */
  async function earnRetries(model: string, calls: number): Promise<void> {
    await seeAtOnce(calls, 6, () => ask(model));
    await own.upstream.reset();
  }

  const dateIn = (ms: number): string => new Date(Date.now() + ms).toUTCString();

  const slowDown = (retryAfter: string, status = 429) => ({
    status,
    headers: { 'retry-after': retryAfter },
    body: { json: { error: { message: 'Slow down.', type: 'rate_limit', code: 'rate_limited' } } },
  });

  it.each([
    ['1', '1', 950, 4_000],
    ['2', '2', 1_950, 5_000],
    ['a date to come', () => dateIn(2_500), 1_000, 5_000],
    ['a date gone by', () => dateIn(-60_000), 0, AT_ONCE_MS],
    ['0', '0', 0, AT_ONCE_MS],
    ['soon', 'soon', 0, AT_ONCE_MS],
    ['-5', '-5', 0, AT_ONCE_MS],
    ['NaN', 'NaN', 0, AT_ONCE_MS],
    ['nothing', '', 0, AT_ONCE_MS],
  ])('Retry-After: %s is honoured, or taken for none', async (_name, value, leastMs, mostMs) => {
    await own.upstream.answerNext(slowDown(typeof value === 'string' ? value : value()), {
      vendor: 'openai',
    });
    const seen = await see(() => ask('gpt-4o-mini'));
    expect(seen.status).toBe(200);
    expect(seen.ms).toBeGreaterThanOrEqual(leastMs);
    expect(seen.ms).toBeLessThan(mostMs);
    expect(await own.upstream.completions()).toHaveLength(2);
  });

  it.each([
    ['3600', '3600'],
    ['a date in an hour', () => dateIn(3_600_000)],
    ['99999999999', '99999999999'],
  ])('Retry-After: %s is not waited for: the client is told, after one call', async (_name, value) => {
    await own.upstream.answerAlways(slowDown(typeof value === 'string' ? value : value()), {
      vendor: 'openai',
    });
    const seen = await see(() => ask('gpt-4o-mini'));
    expect(seen).toMatchObject({ status: 429, code: 'provider_rate_limited' });
    expect(Number(seen.retryAfter)).toBeGreaterThan(600);
    expect(seen.ms).toBeLessThan(AT_ONCE_MS);
    expect(await own.upstream.completions()).toHaveLength(1);
  });

  it('a refusal whose text does not end is told in time, by each provider, streamed or not', async () => {
    await own.upstream.answerAlways({ ...slowDown('3600'), fault: { kind: 'stall', afterBytes: 10 } });
    const models = ['gpt-4o-mini', 'claude-haiku-4-5', 'gemini-2.5-flash'];
    const asked = models.flatMap((model) => [false, true].map((stream) => ({ model, stream })));
    const answers = await Promise.all(
      asked.map(async ({ model, stream }) => ({
        what: `${model}, streamed: ${stream}`,
        seen: await see(() => ask(model, { stream })),
      })),
    );
    for (const { what, seen } of answers) {
      expect(seen, what).toMatchObject({ status: 429, code: 'provider_rate_limited' });
      expect(Number(seen.retryAfter), what).toBeGreaterThan(600);
      expect(seen.ms, what).toBeLessThan(2_000 + AT_ONCE_MS);
    }
    // One call each.
    const calls = (await own.upstream.completions()).map(({ vendor }) => vendor);
    expect(calls.toSorted()).toEqual(['anthropic', 'anthropic', 'google', 'google', 'openai', 'openai']);
  });

  it('3600 with another way to be answered: that one is taken at once', async () => {
    await own.upstream.answerAlways(slowDown('3600'), { vendor: 'openai' });
    const response = await ask('two-ways');
    expect(response.status).toBe(200);
    expect(response.headers.get('x-gateway-provider')).toBe('anthropic');
    expect((await own.upstream.completions()).map(({ vendor }) => vendor)).toEqual(['openai', 'anthropic']);
  });

  it.each([
    ['anthropic', 'claude-haiku-4-5', 529],
    ['openai', 'gpt-4o-mini', 503],
  ] as const)('%s: %s, %i with Retry-After: 1 is waited for as well', async (vendor, model, status) => {
    await earnRetries(model, 60);
    const overloaded = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } };
    await own.upstream.answerNext(
      { status, headers: { 'retry-after': '1' }, body: { json: overloaded } },
      { vendor },
    );
    const seen = await see(() => ask(model));
    expect(seen.status).toBe(200);
    expect(seen.ms).toBeGreaterThanOrEqual(950);
    expect(await own.upstream.completions()).toHaveLength(2);
  });

  it('nothing but 429: no more than 1.2 calls a request', async () => {
    await own.upstream.answerAlways(slowDown('0', 429), { vendor: 'google' });
    const seen = await seeAtOnce(100, 10, () => ask('gemini-2.5-flash'));
    expect(outcomes(seen)).toEqual({ '429 provider_rate_limited': 100 });
    expect(seen.every(({ retryAfter }) => retryAfter !== null)).toBe(true);
    const calls = (await own.upstream.completions()).length;
    expect(calls).toBeGreaterThan(100);
    expect(calls).toBeLessThanOrEqual(120);
  });
});
