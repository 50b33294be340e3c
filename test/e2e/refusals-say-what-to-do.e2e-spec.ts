import {
  createDatabase,
  type Gateway,
  GatewayStartError,
  mintToken,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sendRaw } from '../security/raw-http.js';

const MESSAGES = [{ role: 'user', content: 'hi' }];

let database: TestDatabase;
let gateway: Gateway;

beforeAll(async () => {
  database = await createDatabase();
  gateway = await startGateway({ env: { DATABASE_URL: database.url } });
});
afterAll(async () => {
  await gateway.stop();
  await database.drop();
});

async function messageOf(path: string, body?: object, token = mintToken({ sub: 'alice' })): Promise<string> {
  const response = await fetch(gateway.url + path, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const { error } = (await response.json()) as { error: { message: string } };
  return error.message;
}

describe('a start on a port that is taken', () => {
  it('is refused in a sentence without a stack', async () => {
    const env = { DATABASE_URL: database.url, PORT: String(gateway.port) };
    const failure: unknown = await startGateway({ env }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(GatewayStartError);
    const { exitCode, logs } = failure as GatewayStartError;
    expect(exitCode).toBe(1);
    expect(logs).toContain(`listen EADDRINUSE: address already in use`);
    expect(logs).not.toMatch(/^ +at /m);
  });
});

describe('a refusal', () => {
  it('of a model names the list, also when only its provider has no key', async () => {
    const told = 'is not available here. GET /v1/models lists the available models.';
    for (const model of ['gpt-4', 'no-such-model']) {
      const expected = `The model "${model}" ${told}`;
      expect(await messageOf('/v1/chat/completions', { model, messages: MESSAGES })).toBe(expected);
      expect(await messageOf(`/v1/models/${model}`)).toBe(expected);
    }
  });

  it('of a misspelt model names the one that is meant, when the token may use it', async () => {
    const bodyOf = (model: string) => ({ model, messages: MESSAGES });
    for (const written of ['echo-tool', 'echo_tools', 'openai/echo-tools', 'ECHO-TOOLS']) {
      const expected = `The model "${written}" is not available here. Did you mean "echo-tools"? GET /v1/models lists the available models.`;
      expect(await messageOf('/v1/chat/completions', bodyOf(written))).toBe(expected);
    }
    const token = mintToken({ sub: 'alice', models: ['echo'] });
    expect(await messageOf('/v1/chat/completions', bodyOf('echo-tool'), token)).not.toContain('echo-tools');
  });

  it('of a token says which kind is wanted', async () => {
    expect(await messageOf('/v1/models', undefined, 'sk-proj-0123456789')).toBe(
      'This is not a token for this gateway. Send a JWT, not an API key of a provider.',
    );
    expect(await messageOf('/v1/models', undefined, mintToken({ sub: 'a' }, 'x'.repeat(40)))).toContain(
      'signature',
    );
    expect(
      await messageOf('/v1/models', undefined, mintToken({ sub: 'a', expiresInSeconds: -120 })),
    ).toContain('Get a new one');
  });

  it('of a path points to the list of routes', async () => {
    expect(await messageOf('/v1/chat/completions')).toContain('POST. GET /docs');
    expect(await messageOf('/v1/chats/completion', {})).toContain('GET /docs');
  });

  it('of a path that cannot be decoded does not speak of a body', async () => {
    const response = await gateway.fetch('/v1/models/%E0%A4%A', { as: 'alice' });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'invalid_http_request' } });
  });

  it.each([{ range: 'bytes=99999999-' }, { 'if-match': '"another"' }])(
    'of a file of the pages with %j is the request’s fault, and no error of ours',
    async (headers) => {
      const response = await gateway.fetch('/docs/swagger-ui.css', { headers });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { code: 'invalid_http_request' } });
      expect(gateway.logRecords.filter(({ level }) => level === 'error')).toEqual([]);
    },
  );

  it.each(['/v1/embeddings', '/v1/audio/speech', '/v1/completions', '/v1/messages'])(
    'of %s says that there are chat completions only',
    async (path) => {
      const name = path.split('/v1/')[1]?.split('/')[0];
      expect(await messageOf(path, {})).toBe(
        `The gateway has no /v1/${name}: it serves chat completions only, at POST /v1/chat/completions.`,
      );
    },
  );

  it.each(['/v1/responses', '/openai/v1/responses/resp_1'])(
    'of %s says that the client can be set to chat completions',
    async (path) => {
      const message = await messageOf(path, {});
      expect(message).toContain('The gateway has no /v1/responses: it serves chat completions only');
      expect(message).toContain('"Other clients" in the README');
    },
  );

  it.each([
    '/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21',
    '/v1/deployments/echo/models',
  ])('of %s says that it is no Azure', async (path) => {
    expect(await messageOf(path, {})).toContain('use a client for OpenAI, not for Azure');
  });

  it.each([
    '/chat/completions',
    '/openai/chat/completions',
    '/v1/v1/chat/completions',
    '/v1/chat/completions/chat/completions',
  ])('of %s says how a base URL ends', async (path) => {
    expect(await messageOf(path, {})).toContain('The base URL of an OpenAI client ends in /v1');
  });

  it('of the models below a base URL without /v1 says how it ends', async () => {
    expect(await messageOf('/models')).toContain('ends in /v1');
  });

  it.each([
    [
      '/v1/chat/completions',
      { model: 'echo', messages: MESSAGES, temperature: 'hot' },
      'temperature must be a number.',
    ],
    ['/billing/estimate', { model: 'echo', messages: MESSAGES, top_p: [] }, 'top_p must be a number.'],
    ['/billing/usage?group=day', undefined, 'group is not recognised.'],
  ])('of a field on %s is a sentence', async (path, body, message) => {
    expect(await messageOf(path, body)).toBe(message);
  });
});

it('a call that has no price is refused only where it would be billed', async () => {
  const body = { model: 'echo', messages: MESSAGES, tools: [{ type: 'web_search' }] };
  expect(await messageOf('/v1/chat/completions', body)).toBe('echo has no price for calls of web_search.');
  const free = await startGateway({ env: { DATABASE_URL: database.url, BILLING_ENABLED: 'false' } });
  try {
    const response = await free.complete(body, 'alice');
    expect(response.status, await response.text()).toBe(200);
  } finally {
    await free.stop();
  }
});

describe('the connection of a refused request', () => {
  const text = JSON.stringify({ model: 'echo', messages: MESSAGES });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n`;
  const missing = 'GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n';

  it.each([
    ['its body in the same packet', [head + text + head + text]],
    ['its body in a packet of its own', [head, text, head, text]],
    ['no body', [missing + missing]],
  ])('is good for the next one when it has %s', async (_what, pieces) => {
    const { responses } = await sendRaw(gateway.port, pieces, { gapMs: 2 });
    expect(responses).toHaveLength(2);
    for (const { headers } of responses) expect(headers['connection']).toBe('keep-alive');
  });

  it('is closed when its body does not come', async () => {
    const { responses, closed } = await sendRaw(gateway.port, head, { quietMs: 2_000 });
    expect(responses).toMatchObject([{ status: 401, headers: { connection: 'close' } }]);
    expect(closed).toBe(true);
  });
});
