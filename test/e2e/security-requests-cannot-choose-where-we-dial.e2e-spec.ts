import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createDatabase, FakeUpstream, type Gateway, startGateway, type TestDatabase } from '@app/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';

/** Bodies with addresses in them; a long run sets another number. */
const RUNS = Number(process.env['SSRF_RUNS'] ?? 150);
const SEED = 20_261_123;

let database: TestDatabase;
let upstream: FakeUpstream;
let gateway: Gateway;
/** Nobody has any business here. */
let trap: Server;
const trapped: string[] = [];
let dialsFile: string;

const trapUrl = (): string => `http://127.0.0.1:${(trap.address() as AddressInfo).port}`;

beforeAll(async () => {
  database = await createDatabase();
  upstream = await FakeUpstream.start();
  trap = createServer((request, response) => {
    trapped.push(`${request.method} ${request.url}`);
    response.end('{}');
  });
  trap.on('connection', () => trapped.push('a connection'));
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
  dialsFile = join(inject('runDirectory'), `dials-${process.pid}`);
  const configFile = join(inject('runDirectory'), `wildcards-${process.pid}.yaml`);
  await writeFile(dialsFile, '');
  await writeFile(configFile, wildcards(upstream.url));
  gateway = await startGateway({
    env: {
      ...upstream.env,
      DATABASE_URL: database.url,
      GATEWAY_CONFIG: configFile,
      ANY_KEY: 'sk-fake-other-key',
      DROP_UNSUPPORTED_PARAMS: 'true',
      RETRY_ENABLED: 'false',
      CIRCUIT_BREAKER_ENABLED: 'false',
      BILLING_DEFAULT_BALANCE: '100000',
      RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
      RATE_LIMIT_REQUESTS_PER_HOUR: '100000',
      NODE_OPTIONS: `--import ${new URL('../security/record-dials.mjs', import.meta.url).href}`,
      RECORD_DIALS_TO: dialsFile,
    },
  });
});
afterAll(async () => {
  await gateway.stop();
  await upstream.stop();
  trap.close();
  await database.drop();
});
beforeEach(() => upstream.reset());

/** Names of models that clients may choose freely: the rest of the name goes upstream. */
function wildcards(url: string): string {
  const price = 'price: { input_per_million: "1", output_per_million: "1" }';
  return `
providers: { any: { type: openai-compatible, base_url: "${url}/v1", api_key_env: ANY_KEY } }
models:
  "any/*": { targets: [{ provider: any, model: "*" }], ${price} }
  "google/*": { targets: [{ provider: google, model: "*" }], ${price} }
  "anthropic/*": { targets: [{ provider: anthropic, model: "*" }], ${price} }
`;
}

/** Everything the gateway has connected to, as host:port. */
async function dialled(): Promise<Set<string>> {
  return new Set((await readFile(dialsFile, 'utf8')).split('\n').filter((line) => line !== ''));
}

async function expectOnlyConfigured(): Promise<void> {
  const allowed = [new URL(upstream.url).host, new URL(database.url).host];
  expect(await dialled(), 'the recorder works').toContain(allowed[0]);
  expect([...(await dialled())].filter((address) => !allowed.includes(address))).toEqual([]);
  expect(trapped).toEqual([]);
}

const NAMES = [
  'api_base',
  'base_url',
  'baseURL',
  'apiBase',
  'api_url',
  'endpoint',
  'url',
  'uri',
  'host',
  'hostname',
  'proxy',
  'proxy_url',
  'http_proxy',
  'target',
  'target_url',
  'redirect_uri',
  'callback_url',
  'webhook',
  'custom_llm_provider',
  'provider',
  'azure_endpoint',
  'deployment_url',
  'api_version',
  'organization',
  'model_list',
  'fallbacks',
  'litellm_params',
  'extra_body',
  'extra_headers',
  'headers',
  'custom_host',
  'image_url',
  'file_url',
  'audio_url',
  'spec_path',
  'metadata',
  'tools',
  'mcp_servers',
  'server_url',
  'vertex_location',
  'region',
  'aws_bedrock_runtime_endpoint',
  '$ref',
  'schema',
  'href',
  'src',
  'data',
];

const addresses = (): fc.Arbitrary<unknown> => {
  const url = trapUrl();
  const port = new URL(url).port;
  return fc.constantFrom<unknown>(
    url,
    `${url}/v1`,
    `//127.0.0.1:${port}/v1`,
    `http://localhost:${port}`,
    `http://[::1]:${port}`,
    `http://2130706433:${port}`,
    `http://0x7f.1:${port}`,
    `http://127.1:${port}/v1`,
    `http://0.0.0.0:${port}/v1`,
    `http://[::ffff:127.0.0.1]:${port}/`,
    `http://api.openai.com@127.0.0.1:${port}/`,
    `http://127.0.0.1:${port}#api.openai.com`,
    'http://169.254.169.254/latest/meta-data/iam',
    'http://metadata.google.internal/computeMetadata/v1/',
    'file:///etc/passwd',
    'gopher://127.0.0.1:6379/_FLUSHALL',
    { url },
    [url],
    { base_url: url, api_base: url, url },
  );
};

/** A request with addresses under names that somebody might believe, anywhere in it. */
const requests = (): fc.Arbitrary<Record<string, unknown>> =>
  fc
    .record({
      model: fc.constantFrom('gpt-4', 'claude-3', 'gemini-1.5-pro', 'any/x', 'echo'),
      stream: fc.boolean(),
      fields: fc.array(fc.tuple(fc.constantFrom(...NAMES), addresses(), fc.nat(5)), {
        minLength: 1,
        maxLength: 4,
      }),
    })
    .map(({ model, stream, fields }) => {
      const part = { type: 'text', text: 'Look.' };
      const body = {
        model,
        stream,
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: [part] },
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
          },
          { role: 'tool', tool_call_id: 'c', content: 'done' },
        ],
        tools: [
          { type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } },
        ],
      };
      const places: unknown[] = [body, ...body.messages, part, ...body.tools];
      for (const [name, value, place] of fields) Reflect.set(Object(places[place] ?? body), name, value);
      return body;
    });

describe('a body', () => {
  it('with addresses anywhere in it never makes the gateway dial them', async () => {
    await fc.assert(
      fc.asyncProperty(requests(), async (body) => {
        const response = await gateway.complete(body);
        const text = await response.text();
        expect([200, 400], text).toContain(response.status);
      }),
      { numRuns: RUNS, seed: SEED },
    );
    expect((await upstream.completions()).length).toBeGreaterThan(RUNS / 10);
    await expectOnlyConfigured();
  }, 120_000);

  it('with images, documents and sound somewhere else leaves fetching them to the provider', async () => {
    const url = `${trapUrl()}/cat.png`;
    const contents = [
      [{ type: 'image_url', image_url: { url } }],
      [{ type: 'image_url', image_url: { url: `${trapUrl()}/x.svg`, detail: 'high' } }],
      [{ type: 'file', file: { file_url: url, file_id: url, filename: 'x.pdf' } }],
      [{ type: 'file', file: { file_data: url } }],
      [{ type: 'input_audio', input_audio: { data: url, format: 'wav' } }],
      [{ type: 'document', source: { type: 'url', url } }],
      [{ type: 'image', source: { type: 'url', url } }],
      `![image](${url})`,
    ];
    for (const model of ['gpt-4', 'claude-3', 'gemini-1.5-pro', 'any/x', 'echo']) {
      for (const content of contents) {
        const response = await gateway.complete({ model, messages: [{ role: 'user', content }] });
        expect([200, 400], `${model} ${JSON.stringify(content)}: ${await response.text()}`).toContain(
          response.status,
        );
      }
    }
    const sent = await upstream.completions();
    expect(
      sent.some(({ body }) => body.includes(url)),
      'the provider is told the address',
    ).toBe(true);
    await expectOnlyConfigured();
  });

  it('cannot leave the provider’s path by the name of a model', async () => {
    const tricks = [
      '../../../evil',
      '..%2f..%2fevil',
      'x?key=1&y=',
      'x#',
      `http://127.0.0.1/x`,
      '@evil',
      'a:b',
      'x:countTokens',
      'models/x:generateContent?',
      'x\r\nhost: evil',
      '..',
      './x',
      '\\\\evil',
      'x%00',
      `${'a'.repeat(200)}`,
    ];
    for (const vendor of ['google', 'anthropic', 'any']) {
      for (const trick of tricks) {
        const response = await gateway.complete({
          model: `${vendor}/${trick}`,
          messages: [{ role: 'user', content: 'x' }],
        });
        expect([200, 400, 404], `${vendor}/${trick}`).toContain(response.status);
        await response.text();
      }
    }
    const paths = new Set((await upstream.requests()).map(({ path }) => path));
    for (const path of paths) {
      expect(path).toMatch(
        /^\/v1\/(chat\/completions|messages)$|^\/v1beta\/models\/[A-Za-z0-9][\w.@-]*:generateContent$/,
      );
    }
    await expectOnlyConfigured();
  });
});

describe('headers and query', () => {
  it.each([
    ['x-portkey-custom-host', (url: string) => url],
    ['x-portkey-config', (url: string) => JSON.stringify({ custom_host: url })],
    ['x-api-base', (url: string) => url],
    ['x-base-url', (url: string) => url],
    ['x-target-url', (url: string) => url],
    ['x-upstream', (url: string) => url],
    ['x-forwarded-host', (url: string) => new URL(url).host],
    ['x-host', (url: string) => new URL(url).host],
    ['x-original-host', (url: string) => new URL(url).host],
    ['forwarded', (url: string) => `host=${new URL(url).host};proto=http`],
    ['openai-base-url', (url: string) => url],
    ['helicone-target-url', (url: string) => url],
    ['referer', (url: string) => url],
    ['origin', (url: string) => url],
    ['proxy', (url: string) => url],
  ])('%s chooses nothing', async (name, value) => {
    for (const model of ['gpt-4', 'claude-3', 'gemini-1.5-pro']) {
      const body = { model, messages: [{ role: 'user', content: 'x' }] };
      expect((await gateway.complete(body, 'alice', { [name]: value(trapUrl()) })).status).toBe(200);
    }
    const query = new URLSearchParams(NAMES.map((key) => [key, trapUrl()]));
    const response = await gateway.fetch(`/v1/chat/completions?${query}`, {
      method: 'POST',
      as: 'alice',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-4', messages: [{ role: 'user', content: 'x' }] }),
    });
    expect(response.status).toBe(200);
    await expectOnlyConfigured();
  });

  it('hand the provider nothing that the client has sent for itself', async () => {
    const body = { model: 'gpt-4', messages: [{ role: 'user', content: 'x' }] };
    const headers = {
      cookie: 'session=1',
      'x-api-key': 'mine',
      'x-secret': 'mine',
      'x-goog-api-key': 'mine',
    };
    await gateway.complete(body, 'alice', {
      ...headers,
      'openai-organization': 'evil',
      'anthropic-beta': 'evil',
    });
    const [received] = await upstream.completions();
    expect(received?.headers['authorization']).toBe('Bearer sk-fake-openai-key');
    const names = Object.keys(received?.headers ?? {});
    for (const name of [...Object.keys(headers), 'openai-organization', 'anthropic-beta']) {
      expect(names).not.toContain(name);
    }
    expect(JSON.stringify(received?.headers)).not.toContain('eyJ');
  });
});

describe('a redirect of the provider', () => {
  it.each([301, 302, 303, 307, 308, 300])('with status %d is not followed', async (status) => {
    for (const model of ['gpt-4', 'claude-3', 'gemini-1.5-pro', 'any/x']) {
      for (const stream of [false, true]) {
        const headers = { location: `${trapUrl()}/stolen`, refresh: `0;url=${trapUrl()}` };
        await upstream.answerNext({ status, headers, body: { json: { location: trapUrl() } } });
        const body = { model, stream, messages: [{ role: 'user', content: 'x' }] };
        const response = await gateway.complete(body);
        expect(response.status, `${model} ${await response.text()}`).toBe(502);
        expect(response.headers.get('location')).toBeNull();
      }
    }
    await expectOnlyConfigured();
  });
});
