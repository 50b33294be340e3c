import { createDatabase, type Gateway, mintToken, startGateway, type TestDatabase } from '@app/testing';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findChromium, runInPage } from './browser.js';

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly object[];
  readonly parameters?: readonly {
    readonly in: string;
    readonly required?: boolean;
    readonly example?: unknown;
    readonly schema?: { readonly example?: unknown; readonly default?: unknown };
  }[];
  readonly requestBody?: {
    readonly content: Readonly<
      Record<string, { readonly examples?: Readonly<Record<string, { value: object }>> }>
    >;
  };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly example?: unknown }>> }>
  >;
}

interface Document {
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly servers?: readonly unknown[];
  readonly security?: readonly object[];
  readonly components: { readonly securitySchemes: Readonly<Record<string, object>> };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** Some two seconds' work; on a machine with ten others at work it was 20. */
const CLICK_THROUGH_LIMIT_MS = 90_000;
const CLICK_THROUGH = readFileSync(new URL('click-through-docs.page.js', import.meta.url), 'utf8');

let database: TestDatabase;
let gateway: Gateway;
let document: Document;

beforeAll(async () => {
  database = await createDatabase();
  gateway = await startGateway({ env: { DATABASE_URL: database.url } });
  document = (await (await gateway.fetch('/docs-json')).json()) as Document;
});
afterAll(async () => {
  await gateway.stop();
  await database.drop();
});

/** Every operation, as `POST /v1/models`. */
const operations = (): [name: string, operation: Operation][] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  );

describe('/docs', () => {
  it('is a page whose every part is served by us, and whose policy lets it run and call us', async () => {
    for (const path of ['/docs', '/docs/']) {
      const page = await gateway.fetch(path);
      expect(page.status).toBe(200);
      const policy = page.headers.get('content-security-policy') ?? '';
      expect(policy).toContain("script-src 'self'");
      expect(policy).toContain("connect-src 'self'");
      expect(policy).not.toContain('upgrade-insecure-requests');
      const html = await page.text();
      // Without it a phone takes the page for one of a desk's width, and shows it a third as large.
      expect(html).toContain('<meta name="viewport" content="width=device-width, initial-scale=1" />');
      // A script between its tags is what `script-src 'self'` does not run.
      expect(html.match(/<script(?![^>]*\ssrc=)[^>]*>\s*\S/g)).toBeNull();
      const parts = [...html.matchAll(/<(?:script|link)[^>]*?\s(?:src|href)="([^"]+)"/g)].map(
        ([, part]) => new URL(part ?? '', gateway.url + path),
      );
      expect(parts.length).toBeGreaterThan(3);
      for (const part of parts) {
        expect(part.origin).toBe(new URL(gateway.url).origin);
        const served = await fetch(part);
        expect(served.status, part.pathname).toBe(200);
        expect(served.headers.get('content-type'), part.pathname).toMatch(/css|javascript|image/);
      }
    }
  });

  it('sends to the address it came from, with the token of "Authorize" wherever one is needed', () => {
    expect(document.servers ?? []).toEqual([]);
    expect(document.components.securitySchemes).toEqual({
      bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
    });
    for (const [name, { security = document.security }] of operations()) {
      const isOpen = /^GET \/(health|ready|metrics)/.test(name);
      expect(security, name).toEqual(isOpen ? [] : [{ bearer: [] }]);
    }
  });

  it('fills in nothing by itself that narrows a list down, or names what is not there', () => {
    const filledIn = operations().flatMap(([name, { parameters = [] }]) =>
      parameters
        .filter(({ in: where, required }) => where === 'query' && required !== true)
        .flatMap(({ example, schema }) => example ?? schema?.example ?? [])
        .map((example) => `${name}: ${JSON.stringify(example)}`),
    );
    expect(filledIn).toEqual(['GET /health/history: 10']);
  });

  it('has an id for every operation that a generated client can call a function by', () => {
    const ids = operations().map(([, { operationId }]) => operationId);
    expect(ids.filter((id) => !/^[A-Z]\w+$/.test(id ?? ''))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('shows the routes of the other prefix by themselves, every group with a word on it, and no raw Markdown', () => {
    const groups = new Set(operations().flatMap(([, { tags }]) => tags));
    expect(new Set(document.tags.filter(({ description }) => description).map(({ name }) => name))).toEqual(
      groups,
    );
    for (const [name, { tags, summary }] of operations()) {
      expect(tags?.includes('openai'), name).toBe(name.includes(' /openai/'));
      expect(summary, name).toMatch(/^[^`*]+$/);
    }
  });

  it('offers examples of bodies that do what they say', async () => {
    let tried = 0;
    for (const [name, { requestBody }] of operations()) {
      const [method = '', path = ''] = name.split(' ');
      for (const { summary = '', value } of Object.values(
        requestBody?.content['application/json']?.examples ?? {},
      ) as { summary?: string; value: object }[]) {
        const response = await fetch(gateway.url + path, {
          method,
          headers: {
            authorization: `Bearer ${mintToken({ sub: 'root', role: 'admin' })}`,
            'content-type': 'application/json',
          },
          body: JSON.stringify(value),
        });
        const told = /\((\d{3})\)/.exec(summary)?.[1] ?? '200';
        expect(response.status, `${name}: ${summary}: ${await response.text()}`).toBe(Number(told));
        tried += 1;
      }
    }
    expect(tried).toBeGreaterThan(5);
  });

  it('shows an error of its own for every status', () => {
    for (const [name, { responses }] of operations()) {
      const errors = Object.entries(responses).filter(([status]) => Number(status) >= 400);
      const codes = errors.map(([status, { content }]) => {
        const example = content?.['application/json']?.example as { error: { code: string } } | undefined;
        return `${status} ${example?.error.code}`;
      });
      expect(new Set(codes.map((code) => code.slice(4))).size, `${name}: ${codes.join()}`).toBe(
        errors.length,
      );
    }
  });

  // The one thing here that needs a program which a server has no use for.
  it.skipIf(findChromium() === undefined)(
    'does it in a browser: Authorize, Try it out, Execute',
    async () => {
      const shown = await runInPage(
        `${gateway.url}/docs`,
        `${CLICK_THROUGH}; clickThrough('${mintToken({ sub: 'root', role: 'admin' })}', ${CLICK_THROUGH_LIMIT_MS})`,
      );
      expect(shown).toEqual({
        'POST /v1/chat/completions': expect.stringContaining('Echo: Say hello.'),
        'POST /v1/chat/completions/stream': expect.stringContaining('data: [DONE]'),
        'GET /billing/balance': expect.stringContaining('"user_id": "root"'),
        'GET /admin/users': expect.stringContaining('"balance": 99.9999'),
      });
    },
    CLICK_THROUGH_LIMIT_MS + 60_000,
  );
});
