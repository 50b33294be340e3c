import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProviderError } from '@app/contracts';
import { Module } from '@nestjs/common';
import { CACHE_MANAGER } from '@nestjs/cache-manager';
import { Test } from '@nestjs/testing';
import { createCache } from 'cache-manager';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { APP_CONFIG } from '../config/app-config.js';
import { GATEWAY_CONFIG_FILE } from '../config/gateway-config.js';
import { GatewayConfigStore } from '../config/gateway-config.store.js';
import { LOADED_CONFIGURATION, loadConfiguration } from '../config/load-configuration.js';
import { PROVIDER_SETTINGS } from '../config/provider-settings.js';
import { BreakerRegistry } from '../providers/resilience/breaker-registry.service.js';
import { type GatewayEvent, Telemetry } from '../telemetry/telemetry.js';
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
    { DATA_DIR: folder, GATEWAY_CONFIG: path, CIRCUIT_BREAKER_FAILURE_THRESHOLD: '1' },
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
  return { app, told, breakers: app.get(BreakerRegistry), store: app.get(GatewayConfigStore) };
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
