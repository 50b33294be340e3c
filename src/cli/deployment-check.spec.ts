import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from './run-cli.js';

function detailed(status: string, openai: string) {
  return {
    status,
    components: {
      database: { status: openai },
      cache: { status: 'up' },
      providers: { openai: { status: openai } },
    },
  };
}

/** A gateway that does everything right, with one route to break. */
function answers(): Record<
  string,
  (request: IncomingMessage, response: ServerResponse, body: string) => void
> {
  const json = (response: ServerResponse, status: number, value: unknown) =>
    response.writeHead(status, { 'x-request-id': 'req-1' }).end(JSON.stringify(value));
  const ofStream = ['{"object":"chat.completion.chunk"}', '{"object":"chat.completion.chunk"}', '[DONE]'];
  return {
    '/health': (_request, response) => json(response, 200, {}),
    '/ready': (_request, response) => json(response, 200, {}),
    '/health/detailed': (_request, response) => json(response, 200, detailed('degraded', 'degraded')),
    '/v1/models': (request, response) =>
      request.headers.authorization === 'Bearer good'
        ? json(response, 200, [{ id: 'zeta' }, { id: 'echo' }])
        : json(response, 401, {
            error: { code: request.headers.authorization ? 'invalid_token' : 'missing_token' },
          }),
    '/v1/chat/completions': (_request, response, body) =>
      JSON.parse(body).stream
        ? response
            .writeHead(200, { 'x-request-id': 'req-2' })
            .end(ofStream.map((event) => `data: ${event}\n\n`).join(''))
        : json(response, 200, { object: 'chat.completion' }),
    '/billing/transactions': (_request, response) =>
      json(response, 200, {
        transactions: [
          { request_id: 'req-2', amount: -0.0002 },
          { request_id: 'req-1', amount: -0.0001 },
        ],
      }),
    '/metrics': (_request, response) => response.end('llm_requests_total{model="echo"} 1\n'),
  };
}

describe('check:deployment', () => {
  let routes: ReturnType<typeof answers>;
  let url: string;
  const bodies: string[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    if (body) bodies.push(body);
    const handler = routes[(request.url ?? '').split('?')[0] ?? ''];
    if (handler) handler(request, response, body);
    else response.writeHead(404).end();
  });
  beforeEach(async () => {
    routes = answers();
    bodies.length = 0;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );

  async function run(...args: string[]) {
    const out: string[] = [];
    const code = await runCli(['check:deployment', '--url', url, '--token', 'good', ...args], {
      out: (line) => out.push(line),
      err: (line) => out.push(line),
    });
    return { code, failed: out.filter((line) => line.startsWith('FAIL')), out };
  }

  it('passes a gateway that works, on its echo model', async () => {
    const { code, failed, out } = await run();
    expect({ code, failed }).toEqual({ code: 0, failed: [] });
    expect(out).toHaveLength(9);
    expect(out.join('\n')).toContain('debited -0.0001');
    expect(out[2]).toMatch(/^ok {4}components: database degraded, providers.openai degraded/);
    expect(bodies.map((body) => JSON.parse(body).model)).toEqual(['echo', 'echo']);
  });

  it.each([
    [
      '/health',
      (response: ServerResponse) => response.writeHead(500).end(),
      'FAIL  health: status 500 instead of 200',
    ],
    [
      '/ready',
      (response: ServerResponse) =>
        response
          .writeHead(503)
          .end('{"error":{"code":"database_unavailable","message":"Not ready: database down."}}'),
      'FAIL  readiness: status 503 (database_unavailable: Not ready: database down.) instead of 200',
    ],
    [
      '/health/detailed',
      (response: ServerResponse) => response.end(JSON.stringify(detailed('unhealthy', 'down'))),
      'FAIL  components: database down, providers.openai down',
    ],
    [
      '/metrics',
      (response: ServerResponse) => response.end('up 1'),
      'FAIL  metrics: llm_requests_total is missing',
    ],
    ['/metrics', (response: ServerResponse) => response.destroy(), 'FAIL  metrics: no answer'],
    [
      '/v1/chat/completions',
      (response: ServerResponse) => response.writeHead(402).end('{"error":{"code":"insufficient_balance"}}'),
      'FAIL  completion: status 402 (insufficient_balance) instead of 200',
    ],
  ])('fails when %s is broken', async (path, answer, line) => {
    routes[path] = (_request, response) => answer(response);
    const { code, failed } = await run();
    expect(code).toBe(1);
    expect(failed[0]).toContain(line);
  });

  it('fails a gateway that lets everybody in', async () => {
    routes['/v1/models'] = (_request, response) => response.end('[{"id":"echo"}]');
    expect((await run()).failed[0]).toContain('refusal without a token: status 200 instead of 401');
  });

  it('fails a stream that was cut', async () => {
    const whole = routes['/v1/chat/completions'];
    routes['/v1/chat/completions'] = (request, response, body) =>
      JSON.parse(body).stream
        ? response.end('data: {"object":"chat.completion.chunk"}\n\n')
        : whole?.(request, response, body);
    expect((await run()).failed).toEqual(['FAIL  stream: the stream does not end with [DONE]']);
  });

  it.each([
    ['at once', 0, ['FAIL  stream: what took 900 ms to send arrived within']],
    ['as they are said', 450, []],
  ])('sees that the chunks of a paced stream arrive %s', async (_name, pauseMs, expected) => {
    const models = routes['/v1/models'];
    routes['/v1/models'] = (request, response, body) =>
      request.headers.authorization === 'Bearer good'
        ? response.end('[{"id":"echo"},{"id":"echo-slow"}]')
        : models?.(request, response, body);
    routes['/billing/requests/req-2'] = (_request, response) =>
      response.end('{"created_at":"2026-01-01T00:00:00.000Z","settled_at":"2026-01-01T00:00:00.900Z"}');
    const whole = routes['/v1/chat/completions'];
    routes['/v1/chat/completions'] = (request, response, body) => {
      if (!JSON.parse(body).stream) return whole?.(request, response, body);
      response.writeHead(200, { 'x-request-id': 'req-2' });
      response.write('data: {"object":"chat.completion.chunk"}\n\n');
      setTimeout(() => response.end('data: [DONE]\n\n'), pauseMs);
    };
    const { failed } = await run();
    expect(JSON.parse(bodies.at(-1) ?? '').model).toBe('echo-slow');
    expect(failed).toHaveLength(expected.length);
    for (const line of expected) expect(failed[0]).toContain(line);
  });

  it('accepts metrics that are closed or off', async () => {
    for (const status of [401, 404]) {
      routes['/metrics'] = (_request, response) => response.writeHead(status).end();
      expect((await run()).code).toBe(0);
    }
    routes['/metrics'] = (request, response) =>
      response
        .writeHead(request.headers.authorization === 'Bearer m' ? 200 : 401)
        .end('llm_requests_total{} 1');
    expect((await run('--metrics-token', 'm')).code).toBe(0);
    expect((await run('--metrics-token', 'n')).code).toBe(1);
  });

  it('wants an address', async () => {
    expect(await runCli(['check:deployment'], { out: () => undefined, err: () => undefined })).toBe(2);
    expect(
      await runCli(['check:deployment', '--url', 'ftp://x'], { out: () => undefined, err: () => undefined }),
    ).toBe(2);
  });
});
