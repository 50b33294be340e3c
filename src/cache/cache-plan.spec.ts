import { type ChatRequest, type ContentPart, GatewayError } from '@app/contracts';
import type { IncomingHttpHeaders } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { Principal } from '../auth/principal.js';
import type { CatalogModel, CatalogTarget } from '../models/catalog.js';
import { type CachePlan, planCache } from './cache-plan.js';

const TARGET = { provider: 'p', upstreamModel: 'u' } as CatalogTarget;
const MODEL = {
  id: 'm',
  root: 'm',
  cache: undefined,
  targets: [TARGET],
  fallbacks: [],
} as unknown as CatalogModel;
const CACHED = { ...MODEL, cache: { ttlMs: 60_000 } };
const PINNED: Partial<ChatRequest> = { temperature: 0 };

interface Asked {
  readonly request?: Partial<ChatRequest>;
  readonly headers?: IncomingHttpHeaders;
  readonly userId?: string;
  /** The token's list. */
  readonly models?: readonly string[];
  readonly model?: CatalogModel;
  readonly isStream?: boolean;
  readonly clientTtlMs?: number;
}

function plan(asked: Asked): CachePlan | undefined {
  const {
    request = {},
    headers = {},
    userId = 'ann',
    models,
    model = MODEL,
    isStream = false,
    clientTtlMs = 300_000,
  } = asked;
  const whole: ChatRequest = { model: 'm', messages: [{ role: 'user', content: 'hi' }], ...request };
  return planCache(whole, headers, { userId, models } as Principal, model, isStream, clientTtlMs);
}

const withPart = (part: ContentPart): Partial<ChatRequest> => ({
  ...PINNED,
  messages: [{ role: 'user', content: [part] }],
});
const leadingTo = (...targets: CatalogTarget[]): Asked => ({ model: { ...MODEL, targets } });
const key = (asked: Asked): string => plan({ headers: { 'x-cache-ttl': '60' }, ...asked })!.key;

describe('planCache', () => {
  it('is off unless somebody asks for it', () => {
    expect(plan({ request: PINNED })).toBeUndefined();
    expect(plan({ request: PINNED, model: CACHED })).toMatchObject({ ttlMs: 60_000 });
    expect(plan({ headers: { 'x-cache-ttl': '5' } })).toMatchObject({ ttlMs: 5000 });
    expect(plan({ headers: { 'x-cache-ttl': 'on' } })).toMatchObject({ ttlMs: 300_000 });
    expect(plan({ headers: { 'x-cache-ttl': '5' }, request: PINNED, model: CACHED })).toMatchObject({
      ttlMs: 5000,
    });
  });

  it('leaves a stream of several choices alone: of those after the first nobody is told how they ended', () => {
    const headers = { 'x-cache-ttl': '60' };
    expect(plan({ headers, request: { n: 2 }, isStream: true })).toBeUndefined();
    expect(plan({ headers, request: { n: 1 }, isStream: true })).toBeDefined();
    expect(plan({ headers, request: { n: 2 } })).toBeDefined();
  });

  it.each([
    ['no temperature and no seed', {}],
    ['a temperature', { temperature: 0.2 }],
    ['tools', { ...PINNED, tools: [{ type: 'function' }] }],
    ['functions', { ...PINNED, functions: [{ name: 'f' }] }],
    ['a web search', { ...PINNED, web_search_options: {} }],
    ['a stored conversation', { ...PINNED, store: true }],
    ['an image by its address', withPart({ type: 'image_url', image_url: { url: 'HTTPS://a.example/b' } })],
    ['a document in a bucket', withPart({ type: 'file', file: { file_data: 'gs://bucket/a.pdf' } })],
  ] as [string, Partial<ChatRequest>][])(
    'by configuration leaves alone a request with %s, unless its client asks',
    (_what, request) => {
      expect(plan({ request, model: CACHED })).toBeUndefined();
      expect(plan({ request, model: CACHED, headers: { 'x-cache-ttl': '9' } })).toMatchObject({
        ttlMs: 9000,
      });
    },
  );

  it('by configuration keeps an answer about what is in the request itself', () => {
    for (const part of [
      { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
      { type: 'text', text: 'https://a.example/b' },
    ]) {
      expect(plan({ request: withPart(part), model: CACHED })).toBeDefined();
    }
  });

  it('takes a seed for as good as temperature 0', () => {
    expect(plan({ request: { seed: 0 }, model: CACHED })).toBeDefined();
  });

  it.each(['no-store', 'no-cache', 'max-age=0', 'Max-Age = 0, private', 'public, No-Store'])(
    'heeds Cache-Control: %s',
    (cacheControl) => {
      expect(
        plan({
          request: PINNED,
          model: CACHED,
          headers: { 'cache-control': cacheControl, 'x-cache-ttl': '9' },
        }),
      ).toBeUndefined();
    },
  );

  it.each(['max-age=60', 'private', 'no-storeroom', ''])(
    'does not mind Cache-Control: %s',
    (cacheControl) => {
      expect(
        plan({ request: PINNED, model: CACHED, headers: { 'cache-control': cacheControl } }),
      ).toBeDefined();
    },
  );

  it('takes 0 for no, and lets an operator forbid clients to ask', () => {
    expect(plan({ request: PINNED, model: CACHED, headers: { 'x-cache-ttl': '0' } })).toBeUndefined();
    expect(plan({ headers: { 'x-cache-ttl': '60' }, clientTtlMs: 0 })).toBeUndefined();
    expect(
      plan({ request: PINNED, model: CACHED, headers: { 'x-cache-ttl': '9' }, clientTtlMs: 0 }),
    ).toMatchObject({ ttlMs: 60_000 });
  });

  it.each(['-1', '1.5', '86401', '9999999', 'yes', ''])('refuses x-cache-ttl: %s', (header) => {
    const refused = (() => {
      try {
        return plan({ headers: { 'x-cache-ttl': header } });
      } catch (error) {
        return error;
      }
    })();
    expect(refused).toBeInstanceOf(GatewayError);
    expect(refused).toMatchObject({ code: 'invalid_body', param: 'x-cache-ttl' });
  });
});

describe('the key', () => {
  it('is the same for the same request, however it was written and delivered', () => {
    const base = key({ request: { temperature: 0, seed: 1 } });
    expect(key({ request: { seed: 1, temperature: 0 } })).toBe(base);
    expect(key({ request: { seed: 1, temperature: 0, stream_options: { include_usage: true } } })).toBe(base);
    expect(key({ request: { seed: 1, temperature: 0, model: 'alias' } })).toBe(base);
  });

  it.each([
    ['another user', { userId: 'bob' }],
    ['another model', { model: { ...MODEL, id: 'n' } as CatalogModel }],
    ['a model that leads to another since a reload', leadingTo({ ...TARGET, upstreamModel: 'v' })],
    ['a model that leads elsewhere since a reload', leadingTo({ ...TARGET, provider: 'q' })],
    ['a provider at another address since', leadingTo({ ...TARGET, baseUrl: 'http://b/v1' })],
    ['a model with a target more', leadingTo(TARGET, { ...TARGET, upstreamModel: 'v' })],
    ['a stream', { isStream: true }],
    ['another prompt', { request: { messages: [{ role: 'user', content: 'ho' }] } }],
    ['another end user', { request: { user: 'x' } }],
    ['a field more', { request: { top_p: 0.5 } }],
  ] as [string, Asked][])('is another one for %s', (_what, asked) => {
    expect(key(asked)).not.toBe(key({}));
  });

  it('is another one for a token with another list, where a fallback that it must not use may have answered', () => {
    const model = { ...MODEL, fallbacks: ['n'] };
    expect(key({ model, models: ['m'] })).not.toBe(key({ model }));
    expect(key({ model, models: ['m'] })).toBe(key({ model, models: ['m'] }));
    expect(key({ models: ['m'] })).toBe(key({}));
  });

  it('does not run together at the seams', () => {
    expect(key({ userId: 'an', model: { ...MODEL, id: 'nm' } as CatalogModel })).not.toBe(
      key({ userId: 'ann', model: { ...MODEL, id: 'm' } as CatalogModel }),
    );
  });
});
