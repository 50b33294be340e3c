import { ownGateway } from '@app/testing';
import { beforeEach, describe, expect, it } from 'vitest';

const own = ownGateway({ RESPONSE_CACHE_TTL_SECONDS: '60' });

beforeEach(() => own.upstream.reset());

const ask = (text: string) => ({ model: 'gpt-4', messages: [{ role: 'user', content: text }] });

async function get(path: string, as: string): Promise<Record<string, unknown>> {
  return (await (await own.gateway.fetch(path, { as })).json()) as Record<string, unknown>;
}

/** A completion that is paid for; resolves to its ids. */
async function pay(as: string, text: string, headers: Record<string, string> = {}) {
  const response = await own.gateway.complete(ask(text), as, headers);
  expect(response.status, await response.text()).toBe(200);
  const requestId = response.headers.get('x-request-id') ?? '';
  const receipt = await get(`/billing/requests/${requestId}`, as);
  return { requestId, billingId: String(receipt['billing_id']) };
}

/** All that a client can tell answers apart by, without what is different for every request. */
async function look(path: string, as: string): Promise<object> {
  const response = await own.gateway.fetch(path, { as });
  const changing = /^(x-request-id|date|.*ratelimit.*)$/;
  const headers = [...response.headers].filter(([name]) => !changing.test(name));
  return { status: response.status, headers, body: await response.text() };
}

describe('somebody else’s', () => {
  it('receipt is not there, and that looks the same as one that never was', async () => {
    const { requestId, billingId } = await pay('alice', 'Mine.');
    const nowhere = await look('/billing/requests/0199c0de-0000-7000-8000-000000000000', 'bob');
    expect(nowhere).toMatchObject({ status: 404 });
    for (const prefix of ['', '/openai/v1']) {
      expect(await look(`${prefix}/billing/requests/${requestId}`, 'bob')).toEqual(nowhere);
      expect(await look(`${prefix}/billing/requests/${billingId}`, 'bob')).toEqual(nowhere);
    }
  });

  it('request id may be used again, and leads everybody to his own receipt', async () => {
    const id = { 'x-request-id': 'the-same-for-both' };
    const [alice, bob] = [await pay('alice', 'A.', id), await pay('bob', 'B.', id)];
    expect(alice.billingId).not.toBe(bob.billingId);
    const receipt = await get('/billing/requests/the-same-for-both', 'bob');
    expect(receipt).toMatchObject({ user_id: 'bob', billing_id: bob.billingId, same_request_id: [] });
  });

  it('billing id taken for a request id stands in nobody’s way, not even behind a crowd', async () => {
    const { billingId } = await pay('alice', 'To be refunded.');
    for (let count = 0; count < 25; count++) await pay('mallory', 'M.', { 'x-request-id': billingId });
    const receipt = await get(`/billing/requests/${billingId}`, 'alice');
    expect(receipt).toMatchObject({ user_id: 'alice', billing_id: billingId });
    const refund = await own.gateway.fetch(`/admin/requests/${billingId}/refund`, {
      method: 'POST',
      as: { sub: 'root', role: 'admin' },
    });
    expect(await refund.json()).toMatchObject({ user_id: 'alice', replayed: false });
  });

  it('money is not shown, whatever is asked for', async () => {
    await pay('alice', 'A long question that costs something.');
    const mine = { balance: 10, held: 0, user_id: 'carol' };
    expect(await get('/billing/balance', 'carol')).toMatchObject({ ...mine, balance: expect.any(Number) });
    for (const name of ['user_id', 'user', 'sub', 'id', 'userId', 'account', 'user_id[]', 'user_id[$ne]']) {
      for (const path of ['balance', 'transactions', 'usage']) {
        const response = await own.gateway.fetch(`/billing/${path}?${name}=alice`, { as: 'carol' });
        const text = await response.text();
        expect([200, 400]).toContain(response.status);
        expect(text).not.toContain('"alice"');
        if (response.status === 200) expect(text).toContain('"carol"');
      }
    }
    const { transactions } = await get('/billing/transactions', 'carol');
    expect(transactions).toMatchObject([{ type: 'grant' }]);
    expect(JSON.stringify(await get('/billing/usage', 'carol'))).not.toContain('gpt-4');
  });

  it('spending does not move my balance', async () => {
    const before = await get('/billing/balance', 'dora');
    await pay('alice', 'Again.', { 'x-user-id': 'dora', 'x-forwarded-user': 'dora' });
    const response = await own.gateway.complete(
      { ...ask('For dora.'), user: 'dora', user_id: 'dora' },
      'alice',
    );
    expect(response.status).toBe(200);
    expect(await get('/billing/balance', 'dora')).toEqual(before);
  });
});

describe('the response cache', () => {
  const cached = { 'x-cache-ttl': '60' };
  const cacheOf = async (as: string, stream: boolean, text: string) => {
    const response = await own.gateway.complete({ ...ask(text), stream }, as, cached);
    await response.text();
    return response.headers.get('x-cache');
  };

  it.each([false, true])(
    'answers nobody with what was said to somebody else (stream: %s)',
    async (stream) => {
      const text = `A question that both have, stream ${stream}.`;
      expect(await cacheOf('alice', stream, text)).toBe('MISS');
      expect(await cacheOf('alice', stream, text)).toBe('HIT');
      expect(await cacheOf('bob', stream, text)).toBe('MISS');
      expect(await own.upstream.completions()).toHaveLength(2);
    },
  );

  it('lets nobody join a call that somebody else has under way', async () => {
    await own.upstream.answerAlways({ delayMs: 300 });
    const text = 'At the same time.';
    const both = ['alice', 'bob', 'alice', 'bob'].map((user) => cacheOf(user, false, text));
    await Promise.all(both);
    expect(await own.upstream.completions()).toHaveLength(2);
  });
});

describe('an Idempotency-Key', () => {
  it('is one user’s: the same key and body of another is another request', async () => {
    const key = { 'idempotency-key': 'the-same-key' };
    const answers = [];
    for (const user of ['alice', 'bob', 'alice', 'bob']) {
      const response = await own.gateway.complete(ask('Once each.'), user, key);
      await response.text();
      answers.push([response.status, response.headers.get('x-idempotent-replay')]);
    }
    expect(answers).toEqual([
      [200, null],
      [200, null],
      [200, 'true'],
      [200, 'true'],
    ]);
    expect(await own.upstream.completions()).toHaveLength(2);
  });

  it('tells nobody that somebody else has used it', async () => {
    const key = { 'idempotency-key': 'a-guessed-key' };
    expect((await own.gateway.complete(ask('First body.'), 'alice', key)).status).toBe(200);
    expect((await own.gateway.complete(ask('Another body.'), 'bob', key)).status).toBe(200);
    expect((await own.gateway.complete(ask('Another body.'), 'alice', key)).status).toBe(422);
  });

  it('makes nobody wait for somebody else', async () => {
    const key = { 'idempotency-key': 'in-flight' };
    await own.upstream.answerNext({ gate: 'held' });
    const alice = own.gateway.complete(ask('Held.'), 'alice', key);
    await own.upstream.waitForRequests(1);
    expect((await own.gateway.complete(ask('Held.'), 'bob', key)).status).toBe(200);
    await own.upstream.release('held');
    expect((await alice).status).toBe(200);
  });

  it('does not lead around the list of models in a token', async () => {
    const key = { 'idempotency-key': 'of-a-dear-model', 'x-cache-ttl': '60' };
    expect((await own.gateway.complete(ask('Dear.'), 'alice', key)).status).toBe(200);
    const restricted = { sub: 'alice', models: ['echo'] };
    expect((await own.gateway.complete(ask('Dear.'), restricted, key)).status).toBe(403);
    expect((await own.gateway.complete(ask('Dear.'), restricted, { 'x-cache-ttl': '60' })).status).toBe(403);
  });
});
