import 'reflect-metadata';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Test } from '@nestjs/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AppConfig } from './app-config.js';
import type { ProviderSettingsByName } from './provider-settings.js';

const silent = { log: () => undefined, warn: () => undefined, error: () => undefined };

describe('ConfigurationModule', () => {
  let folder: string;
  const unhandled = vi.fn();
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'configuration-module-'));
    vi.spyOn(process, 'cwd').mockReturnValue(folder);
    vi.stubEnv('DATA_DIR', folder);
    vi.resetModules();
    unhandled.mockReset();
    process.on('unhandledRejection', unhandled);
  });
  afterEach(() => {
    process.off('unhandledRejection', unhandled);
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true });
  });
  const compile = async () => {
    const { ConfigurationModule } = await import('./configuration.module.js');
    await new Promise((resolve) => setTimeout(resolve, 20));
    return Test.createTestingModule({ imports: [ConfigurationModule] })
      .setLogger(silent)
      .compile();
  };

  it('gives everybody what process and .env say, the process first', async () => {
    writeFileSync(join(folder, '.env'), 'PORT=7001\nHOST=127.0.0.1\nOPENAI_API_KEY=sk-of-file\n');
    vi.stubEnv('PORT', '7002');
    vi.stubEnv('OPENAI_API_KEY', undefined);
    const module = await compile();
    // The tokens of this very load of the module.
    const { APP_CONFIG } = await import('./app-config.js');
    const { GATEWAY_CONFIG_FILE } = await import('./gateway-config.js');
    const { PROVIDER_SETTINGS } = await import('./provider-settings.js');
    expect(module.get<AppConfig>(APP_CONFIG).http).toMatchObject({ host: '127.0.0.1', port: 7002 });
    expect(module.get<ProviderSettingsByName>(PROVIDER_SETTINGS).get('openai')?.apiKey).toBe('sk-of-file');
    expect(module.get(GATEWAY_CONFIG_FILE)).toMatchObject({ models: new Map() });
    delete process.env['OPENAI_API_KEY'];
    delete process.env['HOST'];
  });

  it('does not come up with a fault, and nothing is left unhandled', async () => {
    vi.stubEnv('PORT', 'eighty');
    vi.stubEnv('BODY_LIMIT', 'much');
    await expect(compile()).rejects.toMatchObject({
      name: 'ConfigurationError',
      faults: [expect.stringMatching(/^PORT: /), expect.stringMatching(/^BODY_LIMIT: /)],
    });
    expect(unhandled).not.toHaveBeenCalled();
  });
});
