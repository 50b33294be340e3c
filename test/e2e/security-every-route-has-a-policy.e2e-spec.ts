import { createDatabase, type Gateway, mintToken, startGateway, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rawRequest, sendRaw } from '../security/raw-http.js';
import { realRoutes, type Route } from '../security/real-routes.js';

type Policy = 'everybody' | 'a user' | 'an admin';

/**
 * Who may use what. A route that is not here fails the first test: decide about it and write it down. What is not public
 * is closed by the guard even before anybody decides.
 */
const POLICIES: Readonly<Record<string, Policy>> = {
  'GET /health': 'everybody',
  'GET /ready': 'everybody',
  'GET /health/detailed': 'everybody',
  'GET /health/circuit-breakers': 'everybody',
  'GET /health/system': 'everybody',
  'GET /health/history': 'everybody',
  'GET /metrics': 'everybody',
  'GET /docs': 'everybody',
  'GET /docs/': 'everybody',
  'GET /docs/LICENSE': 'everybody',
  'GET /docs/index.html': 'everybody',
  'GET /docs/swagger-ui-init.js': 'everybody',
  'GET /docs/docs/swagger-ui-init.js': 'everybody',
  'GET /docs-json': 'everybody',
  'GET /docs-yaml': 'everybody',
  // The operator's page is a page; what it shows comes from /admin/ops/summary.
  'GET /ops': 'everybody',
  'GET /ops/:asset': 'everybody',

  'GET /v1/models': 'a user',
  'GET /v1/models/*id': 'a user',
  'POST /v1/chat/completions': 'a user',
  'POST /v1/chat/completions/stream': 'a user',
  'GET /billing/balance': 'a user',
  'GET /billing/transactions': 'a user',
  'GET /billing/usage': 'a user',
  'GET /billing/requests/:request_id': 'a user',
  'POST /billing/estimate': 'a user',
  'GET /openai/v1/models': 'a user',
  'GET /openai/v1/models/*id': 'a user',
  'POST /openai/v1/chat/completions': 'a user',
  'POST /openai/v1/chat/completions/stream': 'a user',
  'GET /openai/v1/billing/balance': 'a user',
  'GET /openai/v1/billing/transactions': 'a user',
  'GET /openai/v1/billing/usage': 'a user',
  'GET /openai/v1/billing/requests/:request_id': 'a user',
  'POST /openai/v1/billing/estimate': 'a user',

  'POST /admin/tokens/revoke': 'an admin',
  'POST /admin/users/:id/topups': 'an admin',
  'POST /admin/users/:id/adjustments': 'an admin',
  'POST /admin/requests/:request_id/refund': 'an admin',
  'GET /admin/users/:id/balance': 'an admin',
  'GET /admin/users': 'an admin',
  'GET /admin/reports': 'an admin',
  'GET /admin/transactions': 'an admin',
  'GET /admin/ledger/audit': 'an admin',
  'GET /admin/unknown-costs': 'an admin',
  'POST /admin/unknown-costs/:id/reconcile': 'an admin',
  'GET /admin/ops/summary': 'an admin',
};

/** Decide nothing about who may pass: no security lives in middleware, where path tricks get around it. */
const MIDDLEWARE = /^(<anonymous>|requestContext|serveStatic|corsMiddleware|router|query|expressInit)$/;

const ADMIN = mintToken({ sub: 'root', role: 'admin' });
const USER = mintToken({ sub: 'alice' });

let database: TestDatabase;
let gateway: Gateway;
let routes: Route[];
let middleware: string[];

beforeAll(async () => {
  database = await createDatabase();
  ({ routes, middleware } = await realRoutes(database.url));
  gateway = await startGateway({ env: { DATABASE_URL: database.url } });
});
afterAll(async () => {
  await gateway.stop();
  await database.drop();
});

const nameOf = ({ method, path }: Route): string => `${method} ${path}`;
const target = (path: string): string => path.replace(/[:*][a-z_]+/g, 'x');
const withPolicy = (...policies: Policy[]): Route[] =>
  routes.filter((route) => policies.includes(POLICIES[nameOf(route)] ?? 'an admin'));

function send({ method, path }: Route, headers: Record<string, string> = {}, query = ''): Promise<Response> {
  return fetch(gateway.url + target(path) + query, {
    method,
    redirect: 'manual',
    headers: { 'content-type': 'application/json', ...headers },
    ...(method === 'GET' ? {} : { body: '{}' }),
  });
}

async function codeOf(response: Response): Promise<string> {
  return ((await response.json()) as { error: { code: string } }).error.code;
}

describe('the routes of the program', () => {
  it('are the ones with a policy, neither more nor fewer', () => {
    expect(routes.map(nameOf).sort()).toEqual(Object.keys(POLICIES).sort());
  });

  it('are documented, but for the pages and the documents themselves', async () => {
    const document = (await (await gateway.fetch('/docs-json')).json()) as { paths: Record<string, object> };
    const documented = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path.replace(/\{[a-z_]+\}/g, '?')}`),
    );
    const real = routes
      .filter(({ path }) => !/^\/(docs|ops)/.test(path))
      .map((route) => nameOf(route).replace(/[:*][a-z_]+/g, '?'));
    expect(documented.sort()).toEqual(expect.arrayContaining(real.sort()));
    expect(real).toEqual(expect.arrayContaining(documented.filter((name) => !/ \/(docs|ops)/.test(name))));
  });

  it('have no middleware in front that could be meant to protect them', () => {
    for (const name of middleware) expect(name).toMatch(MIDDLEWARE);
  });
});

describe('role by role', () => {
  it('lets everybody see what is public', async () => {
    for (const route of withPolicy('everybody')) {
      const response = await send(route);
      expect([401, 403], nameOf(route)).not.toContain(response.status);
      await response.body?.cancel();
    }
  });

  it('answers 401 to nobody in particular', async () => {
    for (const route of withPolicy('a user', 'an admin')) {
      const response = await send(route);
      expect(response.status, nameOf(route)).toBe(401);
      expect(await codeOf(response), nameOf(route)).toBe('missing_token');
    }
  });

  it('answers 403 to a user where an admin is wanted, whatever role the token makes up', async () => {
    const roles = ['user', 'Admin', 'ADMIN', 'admin ', 'root', 'authenticated', 'service_role', ''];
    const tokens = roles.map((role) => mintToken({ sub: 'alice', role: role as 'user' }));
    for (const route of withPolicy('an admin')) {
      for (const token of tokens) {
        const response = await send(route, { authorization: `Bearer ${token}` });
        expect(response.status, nameOf(route)).toBe(403);
        expect(await codeOf(response), nameOf(route)).toBe('admin_only');
      }
    }
  });

  it('lets users and admins through to what is theirs', async () => {
    for (const route of withPolicy('a user', 'an admin')) {
      const token = POLICIES[nameOf(route)] === 'an admin' ? ADMIN : USER;
      const response = await send(route, { authorization: `Bearer ${token}` });
      expect([401, 403, 500], `${nameOf(route)} ${response.status}`).not.toContain(response.status);
      await response.body?.cancel();
    }
  });

  it.each(['', '/stream'])('shows plans of routes to admins only: %j', async (path) => {
    const body = JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: 'x' }] });
    const explain = (token: string) =>
      fetch(`${gateway.url}/v1/chat/completions${path}?explain=route`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body,
      });
    expect((await explain(USER)).status).toBe(403);
    const plan = await explain(ADMIN);
    expect(plan.status).toBe(200);
    const target = { provider: 'echo', upstream_model: 'echo', availability: 'ok', weight: 1 };
    expect(await plan.json()).toMatchObject({ object: 'route.explanation', targets: [target] });
  });
});

describe('a second door', () => {
  it.each([
    ['x-api-key', ADMIN],
    ['api-key', ADMIN],
    ['x-goog-api-key', ADMIN],
    ['apikey', ADMIN],
    ['x-access-token', ADMIN],
    ['x-authorization', `Bearer ${ADMIN}`],
    ['proxy-authorization', `Bearer ${ADMIN}`],
    ['cookie', `token=${ADMIN}; access_token=${ADMIN}; jwt=${ADMIN}`],
    ['x-user-id', 'root'],
    ['x-forwarded-user', 'root'],
    ['x-role', 'admin'],
    ['x-original-url', '/health'],
    ['x-rewrite-url', '/health'],
    ['x-http-method-override', 'GET'],
    ['x-middleware-subrequest', 'middleware'],
  ])('is not opened by the header %s', async (name, value) => {
    for (const route of withPolicy('a user', 'an admin')) {
      expect((await send(route, { [name]: value })).status, nameOf(route)).toBe(401);
    }
  });

  it('is not opened by the query', async () => {
    const query = `?access_token=${ADMIN}&token=${ADMIN}&key=${ADMIN}&api_key=${ADMIN}&auth_token=${ADMIN}`;
    for (const route of withPolicy('a user', 'an admin')) {
      expect((await send(route, {}, query)).status, nameOf(route)).toBe(401);
    }
  });

  it('is not opened by a token in the body', async () => {
    const body = JSON.stringify({ access_token: ADMIN, token: ADMIN, model: 'echo', messages: [] });
    for (const { path } of withPolicy('a user', 'an admin').filter(({ method }) => method === 'POST')) {
      for (const type of ['application/json', 'application/x-www-form-urlencoded']) {
        const init = { method: 'POST', headers: { 'content-type': type }, body };
        expect((await fetch(gateway.url + target(path), init)).status).toBe(401);
      }
    }
  });
});

/** Other ways to write the same path, over a raw socket, because clients tidy paths up. */
function spellings(path: string): string[] {
  const [first = '', ...rest] = path.slice(1).split('/');
  const last = rest.at(-1) ?? first;
  return [
    `/${path}`,
    `//localhost${path}`,
    `${path}/`,
    `${path}//`,
    `${path}/.`,
    `${path};x=1`,
    `/;${path}`,
    `/./${path.slice(1)}`,
    `/health/..${path}`,
    `/health/%2e%2e${path}`,
    `/docs/..${path}`,
    `/docs/%2e%2e${path}`,
    `/docs/..%2f${path.slice(1)}`,
    `/ops/..%5c..${path}`,
    `/public${path}`,
    path.toUpperCase(),
    path.replace(
      first,
      first.replace(/[a-z]/, (letter) => letter.toUpperCase()),
    ),
    path.replace(last, `%${last.charCodeAt(0).toString(16)}${last.slice(1)}`),
    path.replace(last, `%25${last.charCodeAt(0).toString(16)}${last.slice(1)}`),
    path.replaceAll('/', '%2f'),
    path.replaceAll('/', '\\'),
    `${path}%00`,
    `${path}%20`,
    `${path}.json`,
    `${path}?`,
    `${path}#x`,
    `${path}%3f`,
    `http://localhost${path}`,
    `http://evil.example${path}`,
    `HTTP://LOCALHOST:80${path}`,
    `*`,
  ];
}

const METHODS = ['HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'CONNECT', 'PROPFIND', 'QUERY', 'get'];

describe('a path or method in disguise', () => {
  /** What came back, when it is an answer of a closed route or a failure of ours. */
  async function leak(
    method: string,
    path: string,
    more: Record<string, string> = {},
  ): Promise<string | undefined> {
    const body = method === 'POST' ? '{"model":"echo","messages":[{"role":"user","content":"x"}]}' : '';
    const headers = { connection: 'close', 'x-forwarded-for': '127.0.0.1', ...more };
    const bytes = rawRequest(method, path, headers, body);
    const { text, responses } = await sendRaw(gateway.port, bytes, { quietMs: 150 });
    const opened = responses.some((answer) => answer.status < 400 && !isPublicText(answer.body, method));
    const failed = responses.some(({ status }) => status >= 500);
    return opened || failed ? `${method} ${path}: ${text.slice(0, 200)}` : undefined;
  }

  it('would be noticed: with a token the plain path opens', async () => {
    const authorization = `Bearer ${ADMIN}`;
    expect(await leak('GET', '/v1/models', { authorization })).toContain('200 OK');
    expect(await leak('POST', '/v1/chat/completions', { authorization })).toContain('200 OK');
    expect(await leak('GET', '/admin/users', { authorization })).toContain('200 OK');
  });

  it('never gets an answer of a closed route', async () => {
    const leaks: (string | undefined)[] = [];
    for (const { method, path } of withPolicy('a user', 'an admin')) {
      leaks.push(...(await Promise.all(spellings(target(path)).map((spelling) => leak(method, spelling)))));
      leaks.push(...(await Promise.all(METHODS.map((other) => leak(other, target(path))))));
    }
    expect(leaks.length).toBeGreaterThan(1_000);
    expect(leaks.filter((text) => text !== undefined)).toEqual([]);
  }, 60_000);
});

/** What everybody may see: the server's own word on its methods, and the pages that a dotted path may lead to. */
function isPublicText(body: string, method: string): boolean {
  return (
    (method === 'OPTIONS' && /^[A-Z, ]*$/.test(body)) ||
    body.includes('swagger') ||
    body.includes('<!doctype')
  );
}
