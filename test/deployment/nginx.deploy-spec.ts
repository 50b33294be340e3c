import { connect as connectHttp2, constants } from 'node:http2';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { eventually, mintToken, startGateway } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NginxServer } from './nginx-server.js';
import { PROJECT, run } from './programs.js';
import { type Answer, errorOf, Site } from './site.js';

const BODY_LIMIT = 10 * 2 ** 20;

let site: Site;

beforeAll(async () => {
  site = await Site.start();
});
afterAll(() => site?.[Symbol.asyncDispose]());

const ask: Site['ask'] = (...parameters) => site.ask(...parameters);

describe('the configuration', () => {
  it('is accepted by nginx without a warning', async () => {
    const { code, stderr } = await site.nginx.check();
    expect(stderr).toContain('test is successful');
    expect(stderr).not.toContain('[warn]');
    expect(code).toBe(0);
  });
});

/** `check:deployment` as an operator runs it from elsewhere: over TLS, knowing the certificate. */
async function checkDeployment(url: string, options: { nginx?: NginxServer; token?: string } = {}) {
  const { code, stdout } = await run(
    process.execPath,
    [
      'dist/src/cli.js',
      'check:deployment',
      '--url',
      url,
      '--token',
      options.token ?? mintToken({ sub: 'smoke' }),
    ],
    {
      cwd: PROJECT,
      env: {
        ...process.env,
        ...(options.nginx && { NODE_EXTRA_CA_CERTS: join(options.nginx.directory, 'tls', 'fullchain.pem') }),
      },
    },
  );
  return { code, stdout, failed: stdout.split('\n').filter((line) => line.startsWith('FAIL')) };
}

describe('the deployment check', () => {
  it('passes, and has seen a stream arrive chunk by chunk', async () => {
    const { code, stdout } = await checkDeployment(site.nginx.url, site);
    expect(stdout).toMatch(/^ok {4}stream: \d+ chunks, over \d+ ms, debited/m);
    expect(stdout).toContain('the deployment works');
    expect(code).toBe(0);
  });

  it('passes where the metrics are closed', async () => {
    await using closed = await site.brokenNginx((text) => text.replace('allow 127.0.0.1;', ''));
    const { code, stdout } = await checkDeployment(closed.url, { nginx: closed });
    expect(stdout).toContain('ok    metrics: closed');
    expect(code).toBe(0);
  });

  // As nginx does by its defaults: without chunks from the gateway it waits until a buffer is full.
  it('names a proxy that buffers streams', async () => {
    await using buffering = await site.brokenNginx((text) =>
      text
        .replace('proxy_buffering off;', 'proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;')
        .replace('proxy_http_version 1.1;', 'proxy_http_version 1.0;'),
    );
    const { code, failed } = await checkDeployment(buffering.url, { nginx: buffering });
    expect(failed).toHaveLength(1);
    expect(failed[0]).toMatch(
      /^FAIL {2}stream: what took \d+ ms to send arrived within \d+ ms: .* buffers it$/,
    );
    expect(code).toBe(1);
  });

  it('names a token that another secret signed', async () => {
    const token = mintToken({ sub: 'smoke' }, 'another-secret-that-signs-nothing-here-0123456789');
    const { code, failed } = await checkDeployment(site.nginx.url, { nginx: site.nginx, token });
    expect(failed[0]).toMatch(/^FAIL {2}models: status 401 \(invalid_token: /);
    expect(code).toBe(1);
  });

  it('names a certificate that it does not know', async () => {
    const { code, failed } = await checkDeployment(site.nginx.url);
    expect(failed[0]).toMatch(
      /^FAIL {2}health: no answer \(.*SELF_SIGNED.*\); a private certificate: NODE_EXTRA/,
    );
    expect(code).toBe(1);
  });

  it('names a database that is away, and nobody at all', async () => {
    const alone = await startGateway({
      waitFor: '/health',
      env: { DATABASE_URL: 'postgres://nobody:x@127.0.0.1:1/nowhere', BILLING_OUTAGE_MODE: 'closed' },
    });
    const { code, failed } = await checkDeployment(alone.url);
    expect(failed[0]).toMatch(/^FAIL {2}readiness: status 503 \(database_unavailable: .*database/);
    expect(failed[1]).toMatch(/^FAIL {2}components: .*database down/);
    expect(failed.join('\n')).toMatch(/^FAIL {2}completion: status 503 \(database_unavailable/m);
    expect(code).toBe(1);
    await alone.stop();
    expect((await checkDeployment(alone.url)).failed[0]).toBe('FAIL  health: no answer (ECONNREFUSED)');
  });
});

describe('TLS', () => {
  it('is where plain HTTP is sent, with its method', async () => {
    const answer = await new Promise<{ status?: number; location?: string }>((resolve, reject) => {
      httpRequest({ port: site.nginx.plainPort, path: '/v1/models?x=1', method: 'POST' }, (response) => {
        response.resume();
        resolve({ status: response.statusCode, location: response.headers.location });
      })
        .on('error', reject)
        .end();
    });
    expect(answer).toEqual({ status: 308, location: 'https://localhost/v1/models?x=1' });
  });

  it.each([
    ['TLSv1.1', false],
    ['TLSv1.2', true],
    ['TLSv1.3', true],
  ] as const)('%s: accepted %s', async (version, accepted) => {
    const outcome = await new Promise((resolve) => {
      const socket = connectTls({
        port: site.nginx.port,
        servername: 'localhost',
        ca: site.nginx.certificate,
        minVersion: version,
        maxVersion: version,
        ciphers: 'DEFAULT@SECLEVEL=0',
      });
      socket.on('secureConnect', () => resolve(socket.getProtocol()));
      socket.on('error', () => resolve('refused'));
    });
    expect(outcome).toBe(accepted ? version : 'refused');
  });

  it('speaks HTTP/2', async () => {
    const session = connectHttp2(site.nginx.url, { ca: site.nginx.certificate });
    const status = await new Promise((resolve, reject) => {
      session.on('error', reject);
      session
        .request({ ':path': '/health' })
        .on('response', (headers) => resolve(headers[constants.HTTP2_HEADER_STATUS]))
        .on('error', reject)
        .end();
    });
    session.close();
    expect(status).toBe(200);
  });
});

describe('headers', () => {
  it('for security are there once', async () => {
    const { rawHeaders, headers } = await ask('/health');
    const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
    for (const name of [
      'strict-transport-security',
      'content-security-policy',
      'x-content-type-options',
      'x-frame-options',
      'referrer-policy',
      'x-request-id',
    ]) {
      expect(names.filter((other) => other === name)).toEqual([name]);
    }
    expect(headers['server']).toBe('nginx');
    expect(headers['x-powered-by']).toBeUndefined();
  });

  it("keep the client's request id, in the answer and in both logs", async () => {
    const id = 'client-chosen.id:42';
    const answer = await ask('/v1/models', { headers: { 'x-request-id': id } });
    expect(answer.headers['x-request-id']).toBe(id);
    const record = await eventually('nginx logs it', async () =>
      (await site.nginx.accessLog()).find((line) => line['request_id'] === id),
    );
    expect(record).toMatchObject({ status: 401, path: '/v1/models', client: '127.0.0.1' });
    await eventually('a gateway logs it', () => site.gateways.some((gateway) => gateway.logs.includes(id)));
  });

  it('get one request id for both when the client has none, or a wild one', async () => {
    for (const headers of [{}, { 'x-request-id': 'x y<script>' }] as Record<string, string>[]) {
      const id = String((await ask('/v1/models', { headers })).headers['x-request-id']);
      expect(id).toMatch(/^[0-9a-f]{32}$/);
      await eventually('nginx logs the same', async () =>
        (await site.nginx.accessLog()).some((line) => line['request_id'] === id),
      );
    }
  });

  it('tell the gateway who the client is, whatever it says of itself', async () => {
    const id = `forged-${Date.now()}`;
    const forged = {
      authorization: `Bearer ${mintToken({ sub: 'mallory' }, 'another-secret-that-signs-nothing-here-0123456789')}`,
      'x-forwarded-for': '6.6.6.6',
      'x-real-ip': '6.6.6.6',
      forwarded: 'for=6.6.6.6',
      'x-request-id': id,
    };
    expect((await ask('/v1/models', { headers: forged, from: '127.0.0.3' })).status).toBe(401);
    const records = await eventually('a gateway logs the refusal', () => {
      const found = site.gateways
        .flatMap((gateway) => gateway.logRecords)
        .filter((line) => line['request_id'] === id);
      return found.some((line) => 'client_address' in line) && found;
    });
    expect(records.find((line) => 'client_address' in line)).toMatchObject({ client_address: '127.0.0.3' });
    expect(JSON.stringify(records)).not.toContain('6.6.6.6');
  });
});

describe('from outside', () => {
  it.each([
    '/metrics',
    '/ops',
    '/ops/ops.js',
    '/docs',
    '/docs/',
    '/docs-json',
    '/metrics/',
    '/metrics?x=1',
    '//metrics',
    '/%6detrics',
    '/x/../metrics',
    '/METRICS',
    '/Docs',
    '/metrics%2f',
  ])('%s is closed', async (path) => {
    const answer = await ask(path, { from: '127.0.0.2' });
    expect(answer.status).toBe(403);
    expect(errorOf(answer)).toMatchObject({ type: 'permission_error', code: 'route_closed' });
    expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/);
  });

  it.each([
    '/./metrics',
    '/v1/%2e%2e/metrics',
    '/%2fmetrics',
    '/metrics;x',
    '/metrics%20',
    '/metrics%5c',
    '/metrics%00',
    '/docs-yaml',
    '/docs%2fswagger-ui-init.js',
    '/OPS%2fops.js',
    `https://localhost/metrics`,
  ])('no spelling gets behind it: %s', async (path) => {
    const answer = await ask(path, { from: '127.0.0.2' });
    expect([400, 403, 404]).toContain(answer.status);
    expect(errorOf(answer)).toBeDefined();
  });

  it('the routes of clients are open', async () => {
    expect((await ask('/health', { from: '127.0.0.2' })).status).toBe(200);
    expect((await ask('/ready', { from: '127.0.0.2' })).status).toBe(200);
    expect((await ask('/v1/models', { from: '127.0.0.2' })).status).toBe(401);
  });

  it('what is closed is open to this machine', async () => {
    expect((await ask('/metrics')).text).toContain('llm_requests_total');
    expect((await ask('/docs-json')).status).toBe(200);
    expect((await ask('/ops')).status).toBe(200);
  });
});

describe('limits', () => {
  it('let a body of BODY_LIMIT reach the gateway, and not a byte more', async () => {
    const headers = {
      authorization: `Bearer ${mintToken({ sub: 'alice' })}`,
      'content-type': 'application/json',
    };
    const largest = await ask('/v1/chat/completions', {
      method: 'POST',
      headers,
      body: Buffer.alloc(BODY_LIMIT, ' '),
    });
    expect(largest.status).toBe(400);
    const tooLarge = await ask('/v1/chat/completions', {
      method: 'POST',
      headers: { ...headers, 'content-length': String(BODY_LIMIT + 1) },
    }).catch((error: unknown) => error);
    expect(tooLarge).toMatchObject({ status: 413 });
    expect(errorOf(tooLarge as Answer)).toMatchObject({
      type: 'invalid_request_error',
      code: 'body_too_large',
    });
  });

  it("refuse headers before Node would, in the gateway's envelope", async () => {
    expect((await ask('/health', { headers: { 'x-large': 'x'.repeat(6_500) } })).status).toBe(200);
    const answer = await ask('/health', { headers: { 'x-large': 'x'.repeat(8_000) } });
    expect(answer.status).toBe(400);
    expect(errorOf(answer)).toMatchObject({ code: 'invalid_headers' });
    const noPath = await ask('/health%00');
    expect(noPath.status).toBe(400);
    expect(errorOf(noPath)).toMatchObject({ code: 'invalid_headers' });
    const many = await ask('/health', {
      headers: { 'x-a': 'x'.repeat(6_500), 'x-b': 'x'.repeat(6_500), 'x-c': 'x'.repeat(6_500) },
    });
    expect(many.status).toBe(400);
  });

  it.each([
    ['GET /health HTTP/3.1\r\nHost: a', 505],
    ['TRACE /health HTTP/1.1\r\nHost: a', 405],
    ['POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip', 501],
  ])("answers %j in the gateway's envelope", async (head, status) => {
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connectTls({
        port: site.nginx.port,
        servername: 'localhost',
        ca: site.nginx.certificate,
      });
      let text = '';
      socket.on('data', (data) => (text += data.toString())).on('error', reject);
      socket.on('close', () => resolve(text)).end(`${head}\r\nConnection: close\r\n\r\n`);
    });
    expect(answer).toContain(`HTTP/1.1 ${status} `);
    expect(answer).toContain('"code":"invalid_headers"');
  });
});
