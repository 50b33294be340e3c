import { setTimeout as sleep } from 'node:timers/promises';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  GatewayStartError,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { mintToken } from '@app/testing';

const file = (id: string, price = '1') => `
providers: { local: { type: openai-compatible, base_url: "http://127.0.0.1:9/v1" } }
models: { "${id}": { targets: [{ provider: local, model: m }], price: { input_per_million: "${price}", output_per_million: "2" } } }
aliases: { quick: ${id} }
`;

const twoProviders = (mended: string, other: string) => `
providers:
  mended: { type: openai-compatible, base_url: "${mended}", api_key_env: FAKE_API_KEY }
  other: { type: openai-compatible, base_url: "${other}" }
models:
  of-mended: { targets: [{ provider: mended, model: m }], price: { input_per_million: "1", output_per_million: "2" } }
  of-other: { targets: [{ provider: other, model: m }], price: { input_per_million: "1", output_per_million: "2" } }
`;

describe('the models', () => {
  let database: TestDatabase;
  let gateway: Gateway;
  let path: string;
  beforeAll(async () => {
    database = await createDatabase();
    path = join(await mkdtemp(join(inject('runDirectory'), 'models-')), 'gateway.yaml');
    await writeFile(path, file('first'));
    gateway = await startGateway({
      env: {
        DATABASE_URL: database.url,
        GATEWAY_CONFIG: path,
        OPENAI_API_KEY: 'sk-x',
        ANTHROPIC_API_KEY: 'x',
        GOOGLE_GEMINI_API_KEY: 'x',
        MODELS_CACHE_TTL_SECONDS: '60',
        FAKE_API_KEY: 'sk-test',
        RETRY_ENABLED: 'false',
        CIRCUIT_BREAKER_FAILURE_THRESHOLD: '2',
        CIRCUIT_BREAKER_RECOVERY_TIMEOUT: '600',
      },
    });
  });
  afterAll(async () => {
    await gateway.stop();
    await database.drop();
  });
  const ids = async () =>
    ((await (await gateway.fetch('/v1/models', { as: 'alice' })).json()) as { id: string }[]).map(
      ({ id }) => id,
    );

  it('are those of the contract, from the start', async () => {
    expect(await ids()).toEqual(
      expect.arrayContaining([
        'gpt-4',
        'gpt-3.5-turbo',
        'claude-3',
        'claude-2',
        'gemini-1.5-pro',
        'gemini-pro',
        'echo',
        'first',
        'quick',
      ]),
    );
  });

  it('are listed by OpenAI’s own client, under both prefixes', async () => {
    for (const prefix of ['/v1', '/openai/v1']) {
      const client = new OpenAI({
        baseURL: gateway.url + prefix,
        apiKey: mintToken({ sub: 'alice' }),
        maxRetries: 0,
      });
      const listed: string[] = [];
      for await (const model of client.models.list()) listed.push(model.id);
      expect(listed).toEqual(await ids());
      expect(await client.models.retrieve('gpt-4')).toMatchObject({
        id: 'gpt-4',
        object: 'model',
        owned_by: expect.any(String),
      });
      await expect(client.models.retrieve('gpt-none')).rejects.toMatchObject({
        status: 404,
        code: 'model_not_found',
      });
    }
  });

  it('change with the file at SIGHUP, and stay when it has a fault', async () => {
    const reload = () => process.kill(gateway.pid ?? 0, 'SIGHUP');
    await writeFile(path, file('second', 'free'));
    reload();
    await eventually('the fault is logged', () =>
      gateway.logs.includes('models.second.price.input_per_million'),
    );
    expect(await ids()).toContain('first');
    const metrics = async () => (await gateway.fetch('/metrics')).text();
    await eventually('the refusal is counted', async () =>
      (await metrics()).includes('llm_gateway_config_reloads_total{outcome="refused"} 1\n'),
    );
    expect(await metrics()).toContain('\nllm_gateway_config_refused 1\n');
    await writeFile(path, file('second', '3'));
    reload();
    await eventually('the new model is listed', async () => (await ids()).includes('second'));
    expect(await ids()).not.toContain('first');
    expect(await metrics()).toContain('\nllm_gateway_config_refused 0\n');
    const { pricing } = (await (await gateway.fetch('/v1/models/quick', { as: 'alice' })).json()) as {
      pricing: object;
    };
    expect(pricing).toMatchObject({ input_per_million: '3' });
  });

  it('of a provider whose address a reload mends are asked at once, and no others', async () => {
    const upstream = await FakeUpstream.start();
    const broken = 'http://127.0.0.1:9/v1';
    const ask = async (model: string) => {
      const answer = await gateway.complete({ model, messages: [{ role: 'user', content: 'Hello' }] });
      return ((await answer.json()) as { error?: { code: string } }).error?.code ?? answer.status;
    };
    const reload = async (mended: string, other: string) => {
      const before = gateway.logs.split('is in force').length;
      await writeFile(path, twoProviders(mended, other));
      process.kill(gateway.pid ?? 0, 'SIGHUP');
      await eventually('the reload', () => gateway.logs.split('is in force').length > before);
    };
    try {
      await reload(broken, broken);
      for (const model of ['of-mended', 'of-other'])
        await eventually('the breaker opens', async () => (await ask(model)) === 'circuit_open');
      await reload(`${upstream.url}/v1`, broken);
      expect(await ask('of-mended')).toBe(200);
      expect(await ask('of-other')).toBe('circuit_open');
    } finally {
      await upstream.stop();
    }
  });

  it('are read a few times for a storm of signals, and the last time after the last of them', async () => {
    const readings = (): number => gateway.logs.split('was reloaded and is in force').length - 1;
    const before = readings();
    for (let index = 0; index < 200; index++) {
      process.kill(gateway.pid ?? 0, 'SIGHUP');
      await sleep(2); // two that wait together are one for the kernel
    }
    await writeFile(path, file('third', '4'));
    process.kill(gateway.pid ?? 0, 'SIGHUP');
    await eventually('the new model is listed', async () => (await ids()).includes('third'));
    expect(readings() - before).toBeLessThan(40);
  });
});

it.each(['1', '2'])(
  'a file without a price stops the boot with a line, with %s workers, too',
  async (workers) => {
    const path = join(await mkdtemp(join(inject('runDirectory'), 'unpriced-')), 'gateway.yaml');
    await writeFile(path, file('first').replace(/, price: .*?}/, ''));
    const failure: unknown = await startGateway({ env: { GATEWAY_CONFIG: path, WORKERS: workers } }).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(GatewayStartError);
    const { exitCode, logs } = failure as GatewayStartError;
    expect(logs.trim().split('\n')).toEqual([
      expect.stringMatching(/^models\.first\.targets\[0\]: has no token price; give /),
    ]);
    expect(exitCode).toBe(1);
  },
);
