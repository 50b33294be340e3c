import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  readEvents,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';

let upstream: FakeUpstream;
let database: TestDatabase;
let gateway: Gateway;
let path: string;

const file = (model: string, price: string): string => `
providers: { local: { type: openai-compatible, base_url: "${upstream.url}/v1", api_key_env: FAKE_API_KEY } }
models: { "${model}": { targets: [{ provider: local, model: m }], price: { input_per_million: "${price}", output_per_million: "${price}" } } }
`;

beforeAll(async () => {
  [upstream, database] = await Promise.all([FakeUpstream.start(), createDatabase()]);
  path = join(await mkdtemp(join(inject('runDirectory'), 'price-')), 'gateway.yaml');
  await writeFile(path, file('old-name', '1'));
  gateway = await startGateway({
    env: { DATABASE_URL: database.url, GATEWAY_CONFIG: path, FAKE_API_KEY: 'sk-test' },
  });
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.stop();
  await database?.drop();
});

interface Receipt {
  readonly model: string;
  readonly settlement: {
    readonly charged: number;
    readonly price_version: string;
    readonly usage: { readonly inputTokens: number; readonly outputTokens: number };
    readonly lines: readonly { readonly unit_price_per_million: string }[];
  } | null;
}

const get = async <Body>(url: string, as: Parameters<Gateway['complete']>[1] = 'alice'): Promise<Body> =>
  (await gateway.fetch(url, { as })).json() as Promise<Body>;

async function ask(model: string, requestId: string): Promise<Response> {
  const body = { model, stream: true, messages: [{ role: 'user', content: 'hi' }] };
  return gateway.complete(body, 'alice', { 'x-request-id': requestId });
}

it('whatever happens to its model meanwhile: another price, another name', async () => {
  await upstream.builtIn({ chunkDelayMs: 50, words: 60 });
  const events = readEvents(await ask('old-name', 'began-before'));
  await events.next();
  await writeFile(path, file('new-name', '10'));
  process.kill(gateway.pid ?? 0, 'SIGHUP');
  await eventually('the new price is in force', async () => {
    const response = await ask('new-name', 'began-after');
    void response.text();
    return response.ok;
  });
  let last = '';
  for await (const { data } of events) last = data;
  expect(last).toBe('[DONE]');
  const charged = async (requestId: string) =>
    eventually('it is charged', async () => {
      const { model, settlement } = await get<Receipt>(`/billing/requests/${requestId}`);
      return settlement ? { model, ...settlement } : undefined;
    });
  const before = await charged('began-before');
  const after = await charged('began-after');
  expect([before.model, after.model]).toEqual(['old-name', 'new-name']);
  expect(before.price_version).not.toBe(after.price_version);
  for (const [receipt, price] of [
    [before, '1'],
    [after, '10'],
  ] as const) {
    expect(receipt.lines.map((line) => line.unit_price_per_million)).toEqual([price, price]);
    const tokens = receipt.usage.inputTokens + receipt.usage.outputTokens;
    expect(Math.round(receipt.charged * 1e9)).toBe(tokens * Number(price) * 1000);
  }
  const { usage } = await get<{ usage: { key: string; charged: number }[] }>('/billing/usage?group_by=model');
  expect(usage.map((row) => [row.key, row.charged])).toEqual([
    ['new-name', after.charged],
    ['old-name', before.charged],
  ]);
  expect(await get('/admin/ledger/audit', { sub: 'root', role: 'admin' })).toMatchObject({
    ok: true,
    mismatches: [],
  });
});
