import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';

// All clients share the operator's key at a provider. What a request says must not lead to another model than the priced one,
// to an answer longer than what is held for, to another address or key, or to what is stored there for somebody else.

let database: TestDatabase;
let upstream: FakeUpstream;
let gateway: Gateway;
let dropping: Gateway;

const price = 'price: { input_per_million: "1", output_per_million: "1" }';
const config = (url: string) => `
providers:
  any: { type: openai-compatible, base_url: "${url}/v1", api_key_env: ANY_KEY }
  known: { type: openai-compatible, base_url: "${url}/v1", api_key_env: ANY_KEY, options: { allowed_params: [provider, n_predict] } }
models:
  small: { targets: [{ provider: any, model: upstream-small }], ${price} }
  routed: { targets: [{ provider: known, model: upstream-routed }], ${price} }
`;

beforeAll(async () => {
  database = await createDatabase();
  upstream = await FakeUpstream.start();
  const file = join(inject('runDirectory'), `reach-${process.pid}.yaml`);
  await writeFile(file, config(upstream.url));
  const env = {
    ...upstream.env,
    DATABASE_URL: database.url,
    GATEWAY_CONFIG: file,
    ANY_KEY: 'sk-fake-other-key',
  };
  gateway = await startGateway({ env });
  dropping = await startGateway({ env: { ...env, DROP_UNSUPPORTED_PARAMS: 'true' } });
});
afterAll(async () => {
  await Promise.all([gateway.stop(), dropping.stop()]);
  await upstream.stop();
  await database.drop();
});
beforeEach(() => upstream.reset());

const ask = (model: string, fields: object = {}) => ({
  model,
  messages: [{ role: 'user', content: 'Hi' }],
  ...fields,
});
const bodies = async () =>
  (await upstream.completions()).map(({ body }) => JSON.parse(body) as Record<string, unknown>);

/** Items of an earlier answer, as a client sends them back. */
const carrying = (...items: object[]) => ({
  messages: [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: null, provider_specific_fields: { response_output: items } },
    { role: 'user', content: 'Tell me what I said before.' },
  ],
});
const ITEM = 'messages[1].provider_specific_fields.response_output[0]';

const REACHING: readonly (readonly [model: string, fields: object, param: string])[] = [
  ['small', { models: ['openai/dearest'] }, 'models'],
  ['small', { fallbacks: ['dearest'] }, 'fallbacks'],
  ['small', { provider: { order: ['dear'] } }, 'provider'],
  ['small', { web_search_options: {} }, 'web_search_options'],
  ['small', { plugins: [{ id: 'web' }] }, 'plugins'],
  ['small', { api_base: 'http://127.0.0.1:9', api_key: 'sk-x' }, 'api_base'],
  ['small', { max_tokens: 5, n_predict: 100_000 }, 'n_predict'],
  ['small', { Model: 'dearest' }, 'Model'],
  ['small', { Messages: [{ role: 'user', content: 'something long' }] }, 'Messages'],
  ['small', { extra_body: { model: 'dearest' } }, 'extra_body.model'],
  ['routed', { provider: { order: ['dear'] }, models: ['dearest'] }, 'models'],
  ['gpt-4', { prediction: { type: 'content', content: 'long' } }, 'prediction'],
  ['gpt-4', { previous_response_id: 'resp_of_somebody_else' }, 'previous_response_id'],
  [
    'gpt-5-pro',
    { prompt_cache_options: { comparison_response_id: 'resp_1' } },
    'prompt_cache_options.comparison_response_id',
  ],
  ['gpt-5-pro', carrying({ type: 'item_reference', id: 'msg_of_somebody_else' }), ITEM],
  ['gpt-5-pro', carrying({ id: 'msg_of_somebody_else' }), ITEM],
  ['gpt-5-pro', carrying({ type: 'reasoning', id: 'rs_of_somebody_else', summary: [] }), ITEM],
];

describe('a request that reaches past what is held for', () => {
  it.each(REACHING)('is refused by %s: %j', async (model, fields, param) => {
    for (const stream of [false, true]) {
      const response = await gateway.complete({ ...ask(model, fields), stream }, 'mallory');
      const answer = (await response.json()) as object;
      expect(response.status, JSON.stringify(answer)).toBe(400);
      expect(answer).toEqual({
        error: {
          type: 'invalid_request_error',
          code: 'unsupported_parameter',
          param,
          message: expect.any(String) as string,
        },
      });
    }
    expect(await upstream.completions()).toEqual([]);
  });

  it('costs nothing', async () => {
    await eventually('the last hold is gone', async () => {
      const balance = await gateway.fetch('/billing/balance', { as: 'mallory' });
      const { held, available } = (await balance.json()) as { held: number; available: number };
      return held === 0 && available === 100;
    });
  });

  it('goes without that where unsupported fields may be dropped, and says so', async () => {
    const fields = {
      models: ['dearest'],
      Max_Tokens: 9,
      extra_body: { api_key: 'sk-x', google: {} },
      web_search_options: {},
      top_k: 3,
    };
    const response = await dropping.complete(ask('small', fields), 'alice');
    expect(response.status, await response.text()).toBe(200);
    expect(response.headers.get('x-gateway-dropped-params')).toBe(
      'models, Max_Tokens, web_search_options, extra_body.api_key',
    );
    const [body] = await bodies();
    expect(body).toMatchObject({ model: 'upstream-small', extra_body: { google: {} }, top_k: 3 });
    expect(JSON.stringify(body)).not.toMatch(/dearest|Max_Tokens|web_search|sk-x/);
  });
});

describe('a request to a server that the operator knows', () => {
  it('may set what he has allowed there', async () => {
    const fields = { provider: { order: ['near'] }, n_predict: 7, some_new_field: 1 };
    const response = await gateway.complete(ask('routed', fields), 'alice');
    expect(response.status, await response.text()).toBe(200);
    expect(await bodies()).toMatchObject([{ model: 'upstream-routed', ...fields }]);
  });
});
