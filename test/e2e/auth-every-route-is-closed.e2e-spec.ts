import { createDatabase, type Gateway, mintToken, startGateway, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** What the contract opens to everybody. */
const PUBLIC = /^\/(health|ready|metrics|docs|docs-json|docs-yaml|ops)(\/|$)|^\/$/;

interface Operation {
  readonly method: string;
  readonly path: string;
}

describe('a gateway without a token', () => {
  let database: TestDatabase;
  let gateway: Gateway;
  let operations: Operation[];

  beforeAll(async () => {
    database = await createDatabase();
    gateway = await startGateway({ env: { DATABASE_URL: database.url } });
    const response = await gateway.fetch('/docs-json');
    const document = (await response.json()) as { paths: Record<string, Record<string, unknown>> };
    operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({
        method: method.toUpperCase(),
        path: path.replace(/\{[^}]*\}/g, 'x'),
      })),
    );
  });
  afterAll(async () => {
    await gateway.stop();
    await database.drop();
  });
  const closed = () => operations.filter(({ path }) => !PUBLIC.test(path));
  const send = ({ method, path }: Operation, token?: string) =>
    fetch(gateway.url + path, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      ...(method === 'GET' || method === 'HEAD' ? {} : { body: '{}' }),
    });

  it('documents the routes of the contract', () => {
    const paths = operations.map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining([
        '/v1/chat/completions',
        '/v1/models',
        '/openai/v1/models',
        '/billing/balance',
        '/admin/tokens/revoke',
      ]),
    );
    expect(closed().length).toBeGreaterThan(15);
  });

  it('answers every other route with 401 and the envelope', async () => {
    for (const operation of closed()) {
      const response = await send(operation);
      expect(response.status, `${operation.method} ${operation.path}`).toBe(401);
      expect(response.headers.get('x-request-id')).toBeTruthy();
      expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/);
      expect(await response.json()).toEqual({
        error: {
          message: expect.any(String),
          type: 'authentication_error',
          param: null,
          code: 'missing_token',
        },
      });
    }
  });

  it('answers tokens of another secret, expired ones and garbage alike', async () => {
    const tokens = {
      invalid_token: [
        mintToken({ sub: 'a', role: 'admin' }, 'another-secret-0123456789-0123456789'),
        'x.y.z',
      ],
      token_expired: [mintToken({ sub: 'a', expiresInSeconds: -120 })],
    };
    for (const [code, list] of Object.entries(tokens)) {
      for (const token of list) {
        for (const operation of closed()) {
          const response = await send(operation, token);
          expect(response.status, `${operation.method} ${operation.path}`).toBe(401);
          expect(((await response.json()) as { error: { code: string } }).error.code).toBe(code);
        }
      }
    }
  });

  it('keeps admin routes from users', async () => {
    const admin = closed().filter(({ path }) => path.startsWith('/admin/'));
    expect(admin.length).toBeGreaterThan(4);
    for (const operation of admin) {
      const response = await send(operation, mintToken({ sub: 'alice' }));
      expect(response.status, `${operation.method} ${operation.path}`).toBe(403);
      expect(((await response.json()) as { error: { code: string } }).error.code).toBe('admin_only');
    }
  });

  it('does not read a body before it knows who sends it', async () => {
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{ broken',
    });
    expect(response.status).toBe(401);
  });

  it.each([
    '//v1/models',
    '/v1//models',
    '/v1/models/',
    '/V1/MODELS',
    '/v1/%6dodels',
    '/v1/models;x=1',
    '/v1/models/..',
    '/./v1/models',
    '/v1/models?x=1',
    '/%2fv1/models',
    '/v1/models%00',
    '/openai/v1/models',
    '/health/../v1/models',
  ])('opens nothing by the spelling %s', async (path) => {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE', 'PATCH']) {
      const response = await fetch(gateway.url + path, { method });
      expect([400, 401, 404, 405], `${method} ${path}`).toContain(response.status);
    }
  });
});
