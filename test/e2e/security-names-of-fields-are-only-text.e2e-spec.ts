import { expectErrorEnvelope, ownGateway } from '@app/testing';
import { describe, expect, it } from 'vitest';

const own = ownGateway({ DROP_UNSUPPORTED_PARAMS: 'true' });

const chat = (fields: object) => ({
  model: 'claude-3',
  messages: [{ role: 'user', content: 'Hi' }],
  ...fields,
});

describe('names of fields that a provider does not take', () => {
  it.each([
    ['a line break', 'x\r\nset-cookie: a', 'x%0D%0Aset-cookie:%20a'],
    ['letters of the world', 'naïve-漢💥', 'na%C3%AFve-%E6%BC%A2%F0%9F%92%A5'],
    ['half a character', 'a\ud800b', 'a%EF%BF%BDb'],
    ['a comma', 'a,b', 'a%2Cb'],
    ['20,000 letters', 'y'.repeat(20_000), 'y'.repeat(64)],
  ])('with %s are told in a header that every client can read', async (_what, name, told) => {
    for (const stream of [false, true]) {
      const response = await own.gateway.complete(chat({ [name]: 1, stream }), 'alice');
      const text = await response.text();
      expect(response.status, text).toBe(200);
      expect(response.headers.get('x-gateway-dropped-params')).toBe(told);
      expect(response.headers.get('set-cookie')).toBeNull();
    }
  });

  it('are told as far as there is room, however many there are', async () => {
    const names = Array.from({ length: 5_000 }, (_, index) => [`field_${index}`, 1]);
    const response = await own.gateway.complete(chat(Object.fromEntries(names)), 'alice');
    expect(response.status, await response.text()).toBe(200);
    const told = response.headers.get('x-gateway-dropped-params') ?? '';
    expect(told).toMatch(/^field_0, field_1, .*, \+\d{4} more$/);
    expect(told.length).toBeLessThan(1_100);
  });

  it('make no refusal long', async () => {
    const name = 'z'.repeat(1_000_000);
    const response = await own.gateway.fetch('/admin/tokens/revoke', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ [name]: 1 }),
      as: { sub: 'root', role: 'admin' },
    });
    expect(response.status).toBe(400);
    const text = await response.text();
    expect(text.length).toBeLessThan(3_000);
    expectErrorEnvelope(JSON.parse(text));
  });

  it.each(['/v1/chat/completions', '/v1/chat/completions/stream'])(
    'in `explain` are no reason to send, and to charge, what was only to be explained: %s',
    async (path) => {
      for (const explain of ['routes', 'route&explain=route', '']) {
        const response = await own.gateway.fetch(`${path}?explain=${explain}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(chat({})),
          as: { sub: 'root', role: 'admin' },
        });
        expect(response.status, explain).toBe(400);
        expect(await response.json()).toMatchObject({ error: { param: 'explain', code: 'invalid_query' } });
      }
    },
  );
});
