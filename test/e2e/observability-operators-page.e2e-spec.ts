import { createDatabase, type Gateway, startGateway, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

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

describe('/ops', () => {
  it('is a page whose every part is served by us, under a policy that lets nothing else run', async () => {
    const page = await gateway.fetch('/ops');
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toContain('text/html');
    expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
    const html = await page.text();
    const parts = [...html.matchAll(/(?:src|href)="(\/ops\/[^"]+)"/g)].map(([, path]) => path ?? '');
    expect(parts).toEqual(['/ops/ops.css', '/ops/ops.js']);
    const script = await (await gateway.fetch('/ops/ops.js')).text();
    const imports = [...script.matchAll(/from '\.\/([\w.]+)'/g)].map(([, file]) => `/ops/${file}`);
    expect(imports.length).toBeGreaterThan(0);
    for (const path of [...parts, ...imports]) {
      const part = await gateway.fetch(path);
      expect(part.status, path).toBe(200);
      expect(part.headers.get('content-type')).toMatch(
        path.endsWith('.css') ? 'text/css' : 'text/javascript',
      );
      expect((await part.text()).length).toBeGreaterThan(100);
    }
  });

  it('serves no other file', async () => {
    for (const path of [
      'ops.controller.js',
      '..%2fops.controller.js',
      '%2e%2e/main.js',
      'ops.html',
      'constructor',
      '__proto__',
    ]) {
      const response = await gateway.fetch(`/ops/${path}`);
      expect(response.status, path).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: 'not_found' } });
    }
  });

  it('gets its figures only with an admin’s token', async () => {
    expect((await gateway.fetch('/admin/ops/summary')).status).toBe(401);
    expect((await gateway.fetch('/admin/ops/summary', { as: 'alice' })).status).toBe(403);
    await (await gateway.complete({ model: 'echo', messages: [{ role: 'user', content: 'hello' }] })).text();
    const summary = await gateway.fetch('/admin/ops/summary', { as: { sub: 'root', role: 'admin' } });
    expect(summary.status).toBe(200);
    expect(await summary.json()).toMatchObject({
      currency: 'USD',
      workers: 1,
      requests: { total: 1, failed: 0, by_status: { 200: 1 } },
      models: [{ model: 'echo', provider: 'echo', requests: 1 }],
      attempts: { echo: { ok: 1 } },
      latency: { count: 1 },
      money: { journal_unsettled_records: expect.any(Number), holds_open: 0 },
    });
  });
});
