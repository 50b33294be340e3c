import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProviderError } from '@app/contracts';
import { Module } from '@nestjs/common';
import { CACHE_MANAGER } from '@nestjs/cache-manager';
import { Test } from '@nestjs/testing';
import { createCache } from 'cache-manager';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { APP_CONFIG } from '../config/app-config.js';
import { GATEWAY_CONFIG_FILE } from '../config/gateway-config.js';
import { GatewayConfigStore } from '../config/gateway-config.store.js';
import { LOADED_CONFIGURATION, loadConfiguration } from '../config/load-configuration.js';
import { PROVIDER_SETTINGS } from '../config/provider-settings.js';
import { BreakerRegistry } from '../providers/resilience/breaker-registry.service.js';
import { Cooldowns } from '../providers/resilience/cooldowns.service.js';
import { type GatewayEvent, Telemetry } from '../telemetry/telemetry.js';
import { LatencyBook } from './latency-book.service.js';
import { RoutingModule } from './routing.module.js';

const file = (...models: string[]) => `
providers: { local: { type: openai-compatible, base_url: "http://127.0.0.1:1/v1" } }
models:
${models
  .map(
    (name) =>
      `  "${name}": { targets: [{ provider: local, model: "${name.replace('any/', '')}" }], price: { input_per_million: 1, output_per_million: 1 } }`,
  )
  .join('\n')}
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'removed-targets-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function start(path: string) {
  const loaded = loadConfiguration(
    {
      DATA_DIR: folder,
      GATEWAY_CONFIG: path,
      CIRCUIT_BREAKER_FAILURE_THRESHOLD: '1',
      FIRST_KEY: 'first',
      SECOND_KEY: 'second',
    },
    { createSecret: false },
  );
  const provided = [
    { provide: LOADED_CONFIGURATION, useValue: loaded },
    { provide: APP_CONFIG, useValue: loaded.config },
    { provide: PROVIDER_SETTINGS, useValue: loaded.providerSettings },
    { provide: GATEWAY_CONFIG_FILE, useValue: loaded.gatewayConfig },
    { provide: CACHE_MANAGER, useValue: createCache() },
  ];
  const services = [GatewayConfigStore, Telemetry];
  @Module({
    providers: [...provided, ...services],
    exports: [...provided.map(({ provide }) => provide), ...services],
  })
  class Surroundings {}
  const module = await Test.createTestingModule({
    imports: [{ module: Surroundings, global: true }, RoutingModule],
  }).compile();
  const app = await module.createNestApplication({ logger: false }).init();
  const told: GatewayEvent[] = [];
  app.get(Telemetry).addSink({ event: (event) => void told.push(event) });
  return {
    app,
    told,
    breakers: app.get(BreakerRegistry),
    cooldowns: app.get(Cooldowns),
    latencies: app.get(LatencyBook),
    store: app.get(GatewayConfigStore),
  };
}

const failure = () =>
  new ProviderError('provider_bad_response', 'no', {
    processed: 'unknown',
    countsAsFailure: true,
    tryElsewhere: true,
  });

it('the breakers of targets that a reload took away are forgotten, and told of no more', async () => {
  const path = join(folder, 'gateway.yaml');
  writeFileSync(path, file('stays', 'goes', 'any/*'));
  const { app, told, breakers, store } = await start(path);
  const opened = ['stays', 'goes', 'under-the-wildcard'].map((model) => breakers.find('local', model)!);
  for (const breaker of opened) await breaker.noteFailure(failure());
  const late = breakers.find('local', 'late')!;
  expect(breakers.refuses('local', 'goes')).toBe(true);
  const models = () => breakers.snapshot().map(({ model }) => model);

  writeFileSync(path, file('stays', 'any/*'));
  expect(await store.reload()).toEqual([]);
  // the wildcard leads to all of them
  expect(models()).toEqual(['stays', 'goes', 'under-the-wildcard', 'late']);

  told.length = 0;
  writeFileSync(path, file('stays'));
  expect(await store.reload()).toEqual([]);
  expect(models()).toEqual(['stays']);
  expect(breakers.refuses('local', 'stays')).toBe(true);
  expect(told).toEqual(
    ['goes', 'under-the-wildcard', 'late'].map((model) => ({
      kind: 'breaker-forgotten',
      provider: 'local',
      model,
    })),
  );
  // a call that was under way
  await late.noteFailure(failure());
  expect(late.state).toBe('open');
  expect(told).toHaveLength(3);
  await app.close();
});

const providers = (options: Record<string, string>, timeout = 600) => `
providers:
${Object.entries(options)
  .map(
    ([name, option]) =>
      `  ${name}: { type: openai-compatible, timeout_seconds: ${timeout}, base_url: "http://127.0.0.1:1/v1", ${option} }`,
  )
  .join('\n')}
models:
${Object.keys(options)
  .map(
    (name) =>
      `  of-${name}: { targets: [{ provider: ${name}, model: m }], price: { input_per_million: 1, output_per_million: 1 } }`,
  )
  .join('\n')}
`;

describe('a reload that changes a provider', () => {
  it.each([
    ['the variable of its key', 'api_key_env: SECOND_KEY'],
    ['its address', 'base_url: "http://127.0.0.1:2/v1", api_key_env: FIRST_KEY'],
    ['its headers', 'api_key_env: FIRST_KEY, headers: { x-project: other }'],
  ])('begins anew with it, and with no other: %s', async (_what, option) => {
    const path = join(folder, 'gateway.yaml');
    const before = 'api_key_env: FIRST_KEY';
    writeFileSync(path, providers({ changed: before, same: before, gone: before }));
    const { app, told, breakers, cooldowns, latencies, store } = await start(path);
    const names = ['changed', 'same', 'gone'];
    const askedAtMs = performance.now();
    for (const name of names) {
      await breakers.find(name, 'm')!.noteFailure(failure());
      cooldowns.note(name, 'm', 60_000, askedAtMs);
      latencies.note(name, 'm', 'stream', 500);
      latencies.note(name, 'm', 'whole', 500);
    }
    const known = () =>
      names.filter(
        (name) =>
          breakers.refuses(name, 'm') ||
          cooldowns.leftMs(name, 'm') > 0 ||
          latencies.averageMs(name, 'm', 'stream') !== undefined ||
          latencies.averageMs(name, 'm', 'whole') !== undefined,
      );
    expect(known()).toEqual(names);

    told.length = 0;
    // an address that is there twice would be a fault
    const text = providers({ changed: option, same: before });
    writeFileSync(path, text.replace('base_url: "http://127.0.0.1:1/v1", base_url', 'base_url'));
    expect(await store.reload()).toEqual([]);
    expect(known()).toEqual(['same']);
    expect(told).toEqual(
      ['changed', 'gone'].map((provider) => ({ kind: 'breaker-forgotten', provider, model: 'm' })),
    );

    // what a call says that was under way with the old key is not of the new one
    cooldowns.note('changed', 'm', 60_000, askedAtMs);
    latencies.note('changed', 'm', 'whole', performance.now() - askedAtMs);
    expect(known()).toEqual(['same']);
    cooldowns.note('changed', 'm', 60_000, performance.now());
    expect(known()).toEqual(['changed', 'same']);
    await app.close();
  });

  it('begins nothing anew for another timeout', async () => {
    const path = join(folder, 'gateway.yaml');
    writeFileSync(path, providers({ same: 'api_key_env: FIRST_KEY' }));
    const { app, breakers, store } = await start(path);
    await breakers.find('same', 'm')!.noteFailure(failure());
    writeFileSync(path, providers({ same: 'api_key_env: FIRST_KEY' }, 60));
    expect(await store.reload()).toEqual([]);
    expect(breakers.refuses('same', 'm')).toBe(true);
    await app.close();
  });
});
