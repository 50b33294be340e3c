import { mintToken, ownGateway } from '@app/testing';
import OpenAI from 'openai';
import { beforeEach, describe, expect, it } from 'vitest';

const ORIGIN = 'https://app.example';
const messages = [{ role: 'user' as const, content: 'hi' }];
/** Two of these are more than the first credit. */
const COSTLY = { model: 'gpt-4o', messages, max_tokens: 900 };

/** The official SDK with its own two repetitions: it makes those that help, and does not make its user wait for the others. */
describe('the official SDK repeats', () => {
  const own = ownGateway({
    RETRY_ENABLED: 'false',
    CIRCUIT_BREAKER_ENABLED: 'false',
    RATE_LIMIT_REQUESTS_PER_HOUR: '4',
    BILLING_DEFAULT_BALANCE: '0.01',
    CORS_ORIGINS: ORIGIN,
  });
  let statuses: number[];

  beforeEach(async () => {
    statuses = [];
    await own.upstream.reset();
  });

  /** Each test has its own user: limits and balance are small. */
  const clientOf = (user: string): OpenAI =>
    new OpenAI({
      baseURL: `${own.gateway.url}/v1`,
      apiKey: mintToken({ sub: user }),
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        statuses.push(response.status);
        return response;
      },
    });
  const ask = (user: string) => clientOf(user).chat.completions.create({ model: 'gpt-4o', messages });
  const failure = (status: number, code: string) => ({
    status,
    body: { json: { error: { message: 'no', code } } },
  });

  it('what an overloaded provider refused', async () => {
    await own.upstream.answerNext(failure(503, 'overloaded'));
    expect((await ask('overload')).choices).toHaveLength(1);
    expect(statuses).toEqual([503, 200]);
  });

  it('what waits for money that requests in flight hold', async () => {
    await own.upstream.answerNext({ gate: 'first', body: { builtIn: true } });
    const first = clientOf('reserved').chat.completions.create(COSTLY);
    await own.upstream.waitForRequests(1);
    const second = clientOf('reserved').chat.completions.create(COSTLY);
    await expect.poll(() => statuses, { timeout: 20_000 }).toContain(402);
    await own.upstream.release('first');
    expect((await first).choices).toHaveLength(1);
    expect((await second).choices).toHaveLength(1);
    expect(statuses.filter((status) => status === 200)).toHaveLength(2);
  });

  it.each([
    [
      'an account without quota',
      failure(429, 'insufficient_quota'),
      { status: 429, code: 'provider_rate_limited' },
    ],
    ['a key that is refused', failure(401, 'invalid_api_key'), { status: 502, code: 'provider_auth_failed' }],
  ])('nothing that %s refused', async (what, answer, error) => {
    await own.upstream.answerAlways(answer);
    await expect(ask(what.replaceAll(' ', '-'))).rejects.toMatchObject(error);
    expect(statuses).toEqual([error.status]);
  });

  it('nothing for which it would have to wait an hour', async () => {
    for (let time = 0; time < 4; time += 1) await ask('busy');
    await expect(ask('busy')).rejects.toMatchObject({ status: 429, code: 'rate_limited' });
    expect(statuses).toEqual([200, 200, 200, 200, 429]);
  });

  it('the same from a page of another origin, which sees only the headers that it may', async () => {
    const answer = await own.gateway.fetch('/v1/models', { headers: { origin: ORIGIN } });
    const exposed = answer.headers.get('access-control-expose-headers')?.split(',');
    expect(exposed).toEqual(
      expect.arrayContaining(['x-should-retry', 'retry-after', 'retry-after-ms', 'x-request-id']),
    );
  });
});
