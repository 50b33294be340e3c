import { Logger } from '@nestjs/common';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GatewayConfigStore } from './gateway-config.store.js';
import { loadConfiguration } from './load-configuration.js';

const HEAD = 'models:\n';
const model = (name: string) =>
  `  ${name}: { targets: [{ provider: echo, model: echo }], price: { input_per_million: "1", output_per_million: "1" } }\n`;

describe('the GATEWAY_CONFIG file, read again', () => {
  let folder: string;
  let path: string;
  let store: GatewayConfigStore;
  const logged = vi.fn();

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gateway-config-store-'));
    path = join(folder, 'gateway.yaml');
    writeFileSync(path, HEAD + model('first') + model('second'));
    const loaded = loadConfiguration({ DATA_DIR: folder, GATEWAY_CONFIG: path });
    store = new GatewayConfigStore(loaded, loaded.gatewayConfig);
    logged.mockReset();
    vi.spyOn(Logger.prototype, 'log').mockImplementation(logged);
    vi.spyOn(Logger.prototype, 'error').mockImplementation(logged);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true });
  });

  const models = () => [...store.current.models.keys()];

  it.each(['', '\n', '# The models of production\n'])('takes nothing away when it is %j', async (text) => {
    writeFileSync(path, text);
    expect(await store.reload()).toEqual([expect.stringContaining('the file is empty')]);
    expect(models()).toEqual(['first', 'second']);
  });

  it('takes everything away when it says so', async () => {
    writeFileSync(path, '{}\n');
    expect(await store.reload()).toEqual([]);
    expect(models()).toEqual([]);
    writeFileSync(path, '# nothing\n');
    expect(await store.reload()).toEqual([]);
  });

  it('is read when nobody writes to it any more', async () => {
    writeFileSync(path, HEAD);
    const reloaded = store.reload();
    for (const name of ['first', 'second', 'third']) {
      await sleep(100);
      appendFileSync(path, model(name));
    }
    expect(await reloaded).toEqual([]);
    expect(models()).toEqual(['first', 'second', 'third']);
  });

  it('that is written all the time is not waited for for ever', { timeout: 15_000 }, async () => {
    const writing = setInterval(() => appendFileSync(path, '#\n'), 50);
    expect(await store.reload().finally(() => clearInterval(writing))).toEqual([
      'GATEWAY_CONFIG: the file keeps changing while it is read',
    ]);
    expect(models()).toEqual(['first', 'second']);
  });

  it('says in the log which names are gone', async () => {
    writeFileSync(path, HEAD + model('second'));
    await store.reload();
    expect(logged).toHaveBeenCalledExactlyOnceWith(
      'GATEWAY_CONFIG was reloaded and is in force, without first',
    );
    logged.mockReset();
    writeFileSync(path, HEAD + model('second') + model('third'));
    await store.reload();
    expect(logged).toHaveBeenCalledExactlyOnceWith('GATEWAY_CONFIG was reloaded and is in force');
  });
});
