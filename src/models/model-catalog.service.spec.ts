import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type INestApplication, Logger, Module } from '@nestjs/common';
import { CACHE_MANAGER } from '@nestjs/cache-manager';
import { Test } from '@nestjs/testing';
import { createCache } from 'cache-manager';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Principal } from '../auth/principal.js';
import { APP_CONFIG } from '../config/app-config.js';
import { GATEWAY_CONFIG_FILE } from '../config/gateway-config.js';
import { GatewayConfigStore } from '../config/gateway-config.store.js';
import { LOADED_CONFIGURATION, loadConfiguration } from '../config/load-configuration.js';
import { PROVIDER_SETTINGS } from '../config/provider-settings.js';
import { GatewayErrorFilter } from '../edge/gateway-error.filter.js';
import { requestContext } from '../edge/request-context.middleware.js';
import { type GatewayEvent, Telemetry } from '../telemetry/telemetry.js';
import { ModelCatalog } from './model-catalog.service.js';
import { ModelsModule } from './models.module.js';

const local = 'providers: { local: { type: openai-compatible, base_url: "http://127.0.0.1:1/v1" } }\n';
const model = (id: string, price = '1') =>
  `"${id}": { targets: [{ provider: local, model: m }], price: { input_per_million: "${price}", output_per_million: "2" } }`;
const fileOf = (...models: string[]) => `${local}models: { ${models.join(', ')} }\n`;

const principal = (models?: string[]): Principal => ({
  userId: 'alice',
  role: 'user',
  models,
  tokenId: undefined,
  issuedAt: undefined,
  expiresAt: 9e9,
});

describe('the models of a gateway', () => {
  let folder: string;
  let path: string;
  let app: INestApplication;
  let url: string;
  let asked: Principal;
  let events: GatewayEvent[];

  async function start(
    options: { cache?: unknown; file?: string; env?: Record<string, string> } = {},
  ): Promise<void> {
    writeFileSync(
      path,
      options.file ??
        fileOf(
          model('small'),
          model('org/deep/name'),
          '"or/*": { targets: [{ provider: local, model: "*" }], price: { input_per_million: 1, output_per_million: 1 } }',
        ),
    );
    const loaded = loadConfiguration(
      { DATA_DIR: folder, GATEWAY_CONFIG: path, ...options.env },
      { createSecret: false },
    );
    @Module({
      providers: [
        { provide: LOADED_CONFIGURATION, useValue: loaded },
        { provide: APP_CONFIG, useValue: loaded.config },
        { provide: PROVIDER_SETTINGS, useValue: loaded.providerSettings },
        { provide: GATEWAY_CONFIG_FILE, useValue: loaded.gatewayConfig },
        { provide: CACHE_MANAGER, useValue: options.cache ?? createCache() },
        GatewayConfigStore,
        Telemetry,
      ],
      exports: [
        LOADED_CONFIGURATION,
        APP_CONFIG,
        PROVIDER_SETTINGS,
        GATEWAY_CONFIG_FILE,
        GatewayConfigStore,
        Telemetry,
        CACHE_MANAGER,
      ],
    })
    class Surroundings {}
    const module = await Test.createTestingModule({
      imports: [{ module: Surroundings, global: true }, ModelsModule],
    }).compile();
    app = module.createNestApplication({ logger: false });
    app.use(requestContext);
    app.use((request: { gateway: { principal: Principal } }, _response: unknown, next: () => void) => {
      request.gateway.principal = asked;
      next();
    });
    app.useGlobalFilters(new GatewayErrorFilter(app.get(Telemetry)));
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    events = [];
    app.get(Telemetry).addSink({ event: (event) => void events.push(event) });
  }
  const get = async (route: string, headers: Record<string, string> = {}) => {
    const response = await fetch(url + route, { headers });
    // Whatever shape: the expectations say which.
    const body: ReturnType<typeof JSON.parse> = await response.json();
    return { status: response.status, body };
  };
  const ids = async () => (await get('/v1/models')).body.map(({ id }: { id: string }) => id) as string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'models-'));
    path = join(folder, 'gateway.yaml');
    asked = principal();
  });
  afterEach(async () => {
    await app.close();
    rmSync(folder, { recursive: true });
  });

  it('are listed as a bare array', async () => {
    await start();
    const { status, body } = await get('/v1/models');
    expect(status).toBe(200);
    expect(Array.isArray(body)).toBe(true);
    expect(body.map(({ id }: { id: string }) => id)).toEqual(
      body.map(({ id }: { id: string }) => id).toSorted(),
    );
    expect(body.find(({ id }: { id: string }) => id === 'small')).toEqual({
      id: 'small',
      object: 'model',
      created: 1_735_689_600,
      owned_by: 'local',
      permission: [
        {
          id: expect.stringMatching(/^modelperm-[0-9a-f]{24}$/),
          object: 'model_permission',
          created: 1_735_689_600,
          allow_create_engine: false,
          allow_sampling: true,
          allow_logprobs: true,
          allow_search_indices: false,
          allow_view: true,
          allow_fine_tuning: false,
          organization: '*',
          group: null,
          is_blocking: false,
        },
      ],
      root: 'small',
      parent: null,
      provider: 'local',
      context_window: 32_768,
      max_output_tokens: 8192,
      capabilities: {
        tools: true,
        vision: true,
        documents: false,
        audio_input: false,
        json_schema: true,
        reasoning: false,
      },
      pricing: { currency: 'USD', input_per_million: '1', output_per_million: '2' },
    });
    expect(body.map(({ id }: { id: string }) => id)).toContain('echo');
  });

  it('come in OpenAI’s envelope to its SDKs, and under its prefix', async () => {
    await start();
    const bare = (await get('/v1/models')).body;
    for (const { body } of [
      await get('/v1/models', { 'x-stainless-lang': 'js' }),
      await get('/openai/v1/models'),
      await get('/OpenAI/v1/models/'),
    ]) {
      expect(body).toEqual({ object: 'list', data: bare });
    }
  });

  it.each([
    ['/v1/models/small', 'small'],
    ['/openai/v1/models/small', 'small'],
    ['/v1/models/org/deep/name', 'org/deep/name'],
    ['/v1/models/org%2Fdeep%2Fname', 'org/deep/name'],
    ['/v1/models/or/meta/llama', 'or/meta/llama'],
  ])('are shown one by one: %s', async (route, id) => {
    await start();
    expect(await get(route)).toMatchObject({ status: 200, body: { id, object: 'model', root: id } });
  });

  it.each([
    '/v1/models/none',
    '/openai/v1/models/none',
    '/v1/models/constructor',
    '/v1/models/a%00b',
    '/v1/models/or/..%2Fx',
  ])('are not found: %s', async (route) => {
    await start();
    expect(await get(route)).toMatchObject({
      status: 404,
      body: { error: { type: 'not_found_error', code: 'model_not_found', param: 'model' } },
    });
  });

  it('are those of the token', async () => {
    await start({ file: `${fileOf(model('small'), model('big'))}aliases: { tiny: small }\n` });
    expect(await ids()).toEqual(expect.arrayContaining(['big', 'echo', 'small', 'tiny']));
    asked = principal(['small']);
    expect(await ids()).toEqual(['small', 'tiny']);
    expect((await get('/v1/models/big')).status).toBe(404);
    expect((await get('/v1/models/tiny')).body).toMatchObject({ id: 'tiny', root: 'small' });
    asked = principal(['tiny']);
    expect(await ids()).toEqual(['small', 'tiny']);
    asked = principal([]);
    expect(await ids()).toEqual([]);
    asked = principal();
    expect((await ids()).length).toBeGreaterThan(3);
  });

  it('are required by name: 404 for nobody’s, 403 for somebody else’s', async () => {
    await start();
    const catalog = app.get(ModelCatalog);
    expect(catalog.require('small', principal(['small'])).id).toBe('small');
    expect(() => catalog.require('nope', principal())).toThrow(
      expect.objectContaining({ code: 'model_not_found', status: 404 }),
    );
    expect(() => catalog.require('small', principal(['echo']))).toThrow(
      expect.objectContaining({ code: 'model_not_allowed', status: 403 }),
    );
    expect(catalog.require('or/x', principal(['or/x'])).id).toBe('or/x');
    expect(() => catalog.require('or/y', principal(['or/x']))).toThrow(
      expect.objectContaining({ code: 'model_not_allowed' }),
    );
  });

  it('are cached, each catalogue and allow-list apart', async () => {
    await start();
    await ids();
    await ids();
    asked = principal(['small']);
    await ids();
    const outcomes = events.flatMap((event) => (event.kind === 'cache' ? [event.outcome] : []));
    expect(outcomes).toEqual(['miss', 'hit', 'miss']);
  });

  it('are not cached with a lifetime of 0', async () => {
    await start({ env: { MODELS_CACHE_TTL_SECONDS: '0' } });
    await ids();
    expect(events).toEqual([]);
  });

  it.each([
    ['fails', { get: () => Promise.reject(new Error('down')), set: () => Promise.reject(new Error('down')) }],
    ['hangs', { get: () => new Promise(() => undefined), set: () => new Promise(() => undefined) }],
  ])('are listed while the cache %s', async (_what, cache) => {
    await start({ cache });
    const startedMs = performance.now();
    expect(await ids()).toContain('small');
    expect(performance.now() - startedMs).toBeLessThan(1000);
    expect(events).toContainEqual({ kind: 'cache', cache: 'models', outcome: 'error' });
  });

  it('change with the file, all at once', async () => {
    await start();
    const [catalog, store] = [app.get(ModelCatalog), app.get(GatewayConfigStore)];
    const before = catalog.snapshot();
    writeFileSync(path, fileOf(model('small', '7'), model('fresh')));
    expect(await store.reload()).toEqual([]);
    expect(await ids()).toEqual(expect.arrayContaining(['fresh', 'small']));
    expect(await ids()).not.toContain('org/deep/name');
    expect((await get('/v1/models/small')).body.pricing.input_per_million).toBe('7');
    expect(before.find('org/deep/name')).toBeDefined();
    const version = catalog.snapshot().find('small')?.targets[0]?.priceVersion;
    expect(catalog.priceVersions().map(({ id }) => id)).toContain(version);
  });

  it.each([
    ['is broken', 'models: ['],
    ['has a fault', fileOf(model('small')).replace('provider: local', 'provider: nobody')],
    [
      'leaves a target without a price',
      `${local}models: { small: { targets: [{ provider: local, model: m }] } }`,
    ],
  ])('stay as they are when the file %s', async (_what, text) => {
    await start();
    const [catalog, store] = [app.get(ModelCatalog), app.get(GatewayConfigStore)];
    const [before, current] = [catalog.snapshot(), store.current];
    writeFileSync(path, text);
    expect((await store.reload()).length).toBeGreaterThan(0);
    expect(catalog.snapshot()).toBe(before);
    expect(store.current).toBe(current);
    writeFileSync(path, fileOf(model('fresh')));
    expect(await store.reload()).toEqual([]);
    expect(catalog.snapshot().find('fresh')).toBeDefined();
  });

  it('are built anew from the same file every hour, for prices with a start date', async () => {
    await start();
    const catalog = app.get(ModelCatalog);
    const [before, list] = [catalog.snapshot(), await ids()];
    catalog.reload();
    expect(catalog.snapshot()).not.toBe(before);
    expect(await ids()).toEqual(list);
  });

  it('are missed in the log once, when a file leaves them out', async () => {
    const warn = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    try {
      await start();
      writeFileSync(path, fileOf(model('search').replace('model: m', 'model: gpt-x-search-api'), model('m')));
      expect(await app.get(GatewayConfigStore).reload()).toEqual([]);
      const lines = [
        'not served: search: gpt-x-search-api searches on every request, but has no price per_request',
        'not served: search: none of its targets can be served',
      ];
      expect(warn.mock.calls.map(([line]) => line as string)).toEqual(lines);
      app.get(ModelCatalog).reload();
      expect(warn).toHaveBeenCalledTimes(2);
    } finally {
      warn.mockRestore();
    }
  });

  it('are read again at SIGHUP', async () => {
    await start();
    writeFileSync(path, fileOf(model('fresh')));
    process.emit('SIGHUP');
    await expect.poll(() => app.get(ModelCatalog).snapshot().find('fresh')).toBeDefined();
  });
});
