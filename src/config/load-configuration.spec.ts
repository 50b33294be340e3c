import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProviderDefinition } from '../providers/provider-definition.js';
import { ConfigurationError } from './configuration-error.js';
import { loadConfiguration, rereadGatewayConfig } from './load-configuration.js';

const GOOD_SECRET = 'q7Jt0xN2cV9sLk4HfWmZ8aYbRe1UoDpG';
const capabilities = {
  tools: true,
  vision: false,
  documents: false,
  audioInput: false,
  jsonSchema: false,
  reasoning: false,
};
const provider = (name: string, key?: string): ProviderDefinition => ({
  name,
  priceBookId: undefined,
  models: [
    { id: `${name}-model`, ownedBy: name, created: 1, contextWindow: 100, maxOutputTokens: 10, capabilities },
  ],
  settings: (env, faults) => {
    if (key === undefined) return { baseUrl: 'http://local', apiKey: undefined };
    if (env[key] === 'bad') faults.push(`${key}: is bad`);
    return env[key] === undefined ? undefined : { baseUrl: 'http://vendor', apiKey: env[key] };
  },
  create: () => Promise.reject(new Error('not called')),
});
const providers = [provider('echo'), provider('vendor', 'VENDOR_API_KEY')];

describe('loadConfiguration', () => {
  let dataDir: string;
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'load-configuration-'));
  });
  afterEach(() => rmSync(dataDir, { recursive: true }));

  it.each([
    ['JWT_JWKS_URL', 'http://169.254.169.254/latest/meta-data'],
    ['SUPABASE_URL', 'https://metadata.google.internal'],
    ['LANGFUSE_HOST', 'http://[::ffff:169.254.169.254]'],
    ['OPENAI_BASE_URL', 'http://2852039166/v1'],
    ['ANTHROPIC_BASE_URL', 'http://0.0.0.0:8080'],
    ['GOOGLE_GEMINI_BASE_URL', 'http://[fd00:ec2::254]'],
  ])('does not let %s lead to where machines hand out credentials', (name, address) => {
    const load = () => loadConfiguration({ DATA_DIR: dataDir, JWT_SECRET_KEY: GOOD_SECRET, [name]: address });
    expect(load).toThrowError(
      expect.objectContaining({ faults: [`${name}: must not be a metadata or unspecified address`] }),
    );
  });

  describe('a secret in a file', () => {
    const file = (content: string): string => {
      const path = join(dataDir, `secret-${readdirSync(dataDir).length}`);
      writeFileSync(path, content);
      return path;
    };
    const load = (variables: Record<string, string>) =>
      loadConfiguration({ DATA_DIR: dataDir, ...variables }, { providers });
    const faultsOf = (variables: Record<string, string>): readonly string[] => {
      try {
        load(variables);
      } catch (error) {
        return (error as ConfigurationError).faults;
      }
      return [];
    };

    it('is read to its last character but one line end', () => {
      const { config, providerSettings, warnings } = load({
        JWT_SECRET_KEY_FILE: file(`${GOOD_SECRET} \n`),
        DATABASE_URL_FILE: file('postgres://gateway:pass@db/books\r\n'),
        REDIS_URL_FILE: file('redis://:pass@cache:6379'),
        METRICS_TOKEN_FILE: file('token\n\n'),
        SENTRY_DSN_FILE: file('https://key@sentry.example/1\n'),
        LANGFUSE_SECRET_KEY_FILE: file('sk\n'),
        IDEMPOTENCY_ENCRYPTION_KEYS_FILE: file(`${Buffer.alloc(32).toString('base64')}\n`),
        VENDOR_API_KEY_FILE: file('sk-vendor\n'),
      });
      expect(config.auth.secret?.reveal()).toBe(`${GOOD_SECRET} `);
      expect(config.database.url?.reveal()).toBe('postgres://gateway:pass@db/books');
      expect(config.redis.url?.reveal()).toBe('redis://:pass@cache:6379');
      expect(config.observability.metricsToken?.reveal()).toBe('token\n');
      expect(config.billing.idempotencyKeys).toHaveLength(1);
      expect(providerSettings.get('vendor')?.apiKey).toBe('sk-vendor');
      expect(warnings.join()).not.toMatch(/_FILE/);
    });

    it('is one fault with its path, and never with its content', () => {
      const both = file('both');
      const blank = file(' \n');
      expect(
        faultsOf({
          ENVIRONMENT: 'production',
          JWT_SECRET_KEY_FILE: `${dataDir}/none`,
          METRICS_TOKEN_FILE: dataDir,
          SENTRY_DSN: 'https://key@sentry.example/1',
          SENTRY_DSN_FILE: both,
          VENDOR_API_KEY_FILE: blank,
          REDIS_URL_FILE: file('x'.repeat(65_537)),
        }),
      ).toEqual([
        `JWT_SECRET_KEY_FILE: ${dataDir}/none cannot be read (ENOENT)`,
        expect.stringMatching(/^REDIS_URL_FILE: .* is larger than 65536 bytes$/),
        `METRICS_TOKEN_FILE: ${dataDir} is not a file`,
        'SENTRY_DSN_FILE: must not be set together with SENTRY_DSN',
        `VENDOR_API_KEY_FILE: ${blank} is empty`,
      ]);
      expect(faultsOf({ DATABASE_URL_FILE: file('hunter2') }).join()).toMatch(/^DATABASE_URL: must be/);
      expect(faultsOf({ DATABASE_URL_FILE: file('hunter2') }).join()).not.toMatch('hunter2');
    });

    it.each(['OWN_KEY', 'VENDOR_API_KEY'])('is read again with the gateway file: %s', (name) => {
      const config = file(
        `providers: { own: { type: openai-compatible, base_url: "http://127.0.0.1:1", api_key_env: ${name} } }`,
      );
      const key = file('sk-old\n');
      const loaded = load({ GATEWAY_CONFIG: config, [`${name}_FILE`]: key });
      writeFileSync(key, 'sk-new\n');
      const reread = rereadGatewayConfig(loaded, providers);
      expect(reread.faults).toEqual([]);
      expect(reread.config.providers.get('own')?.settings.apiKey).toBe('sk-new');
    });

    it('may be that of a provider of the gateway file, and is none where the variable says nothing', () => {
      const config = file(
        'providers: { own: { type: openai-compatible, base_url: "http://127.0.0.1:1", api_key_env: OWN_KEY } }',
      );
      const key = file('sk-own\n');
      const { gatewayConfig } = load({ GATEWAY_CONFIG: config, OWN_KEY_FILE: key, METRICS_TOKEN_FILE: ' ' });
      expect(gatewayConfig.providers.get('own')?.settings.apiKey).toBe('sk-own');
      expect(faultsOf({ GATEWAY_CONFIG: config, OWN_KEY_FILE: `${key}-gone` })).toEqual([
        `providers.own.api_key_env: names a variable whose file ${key}-gone cannot be read (ENOENT) (OWN_KEY)`,
      ]);
    });
  });

  it('writes hosts and origins as browsers do: in small letters, hosts without the port, which is not looked at', () => {
    const { config } = loadConfiguration({
      DATA_DIR: dataDir,
      JWT_SECRET_KEY: GOOD_SECRET,
      ALLOWED_HOSTS: 'API.example.com:8443,*.Example.org,[::1]:8000',
      CORS_ORIGINS: 'https://App.Example.com:8443',
    });
    expect(config.http.allowedHosts).toEqual(['api.example.com', '*.example.org', '[::1]']);
    expect(config.http.corsOrigins).toEqual(['https://app.example.com:8443']);
  });

  it('warns of variables that somebody may have meant, of the gateway and of the providers', () => {
    const { warnings } = loadConfiguration(
      {
        DATA_DIR: dataDir,
        JWT_SECRET_KEY: GOOD_SECRET,
        RATE_LIMIT_REQUEST_PER_MINUTE: '5',
        VENDOR_APIKEY: 'x',
        PATH: '/bin',
      },
      { providers },
    );
    expect(warnings).toEqual([
      'RATE_LIMIT_REQUEST_PER_MINUTE: is not a variable of the gateway; did you mean RATE_LIMIT_REQUESTS_PER_MINUTE?',
      'VENDOR_APIKEY: is not a variable of the gateway; did you mean VENDOR_API_KEY?',
    ]);
  });

  it('wants a folder that the embedded database can live in, and only then', () => {
    const file = join(dataDir, 'file');
    writeFileSync(file, '');
    const fault = 'DATA_DIR: leads through a file, and the embedded database is stored there';
    for (const folder of [file, join(file, 'below', 'it')])
      expect(faultsOf({ DATA_DIR: folder })).toEqual([fault]);
    expect(faultsOf({ DATA_DIR: file, DATABASE_URL: 'postgres://h/d' })).toEqual([]);
    expect(faultsOf({ DATA_DIR: join(dataDir, 'not', 'there', 'yet') })).toEqual([]);
  });

  it('refuses a log file that cannot be written: nobody would hear of anything else', () => {
    const file = join(dataDir, 'a-file');
    writeFileSync(file, '');
    expect(faultsOf({ LOG_FILE: dataDir, AUDIT_LOG_FILE: join(file, 'below') })).toEqual([
      'LOG_FILE: is a folder',
      'AUDIT_LOG_FILE: leads through a file',
    ]);
    expect(faultsOf({ LOG_FILE: file, AUDIT_LOG_FILE: join(dataDir, 'not', 'there', 'yet.log') })).toEqual(
      [],
    );
    // A command that migrates or audits may run elsewhere, or as another user.
    const environment = { DATA_DIR: dataDir, LOG_FILE: dataDir };
    expect(() => loadConfiguration(environment, { providers, writesLogs: false })).not.toThrow();
  });

  it('wants an address of the database that the driver can use', () => {
    for (const [url, fault] of [
      ['postgres://u:hunter2@h:port/d', 'DATABASE_URL: is not a URL'],
      ['postgres://u:hunter2@h1,h2/d', 'DATABASE_URL: names several hosts'],
      ['postgres://u:hunter2@h/d?sslmode=perhaps', 'DATABASE_URL: unknown sslmode'],
    ] as const) {
      const faults = faultsOf({ DATABASE_URL: url }).join();
      expect(faults).toContain(fault);
      expect(faults).not.toContain('hunter2');
    }
    expect(faultsOf({ DATABASE_URL: 'postgres://u:a,b@h/d' })).toEqual([]);
  });

  const load = (environment: Record<string, string | undefined> = {}) =>
    loadConfiguration({ DATA_DIR: dataDir, ...environment }, { providers });
  const faultsOf = (environment: Record<string, string | undefined>): readonly string[] => {
    try {
      load(environment);
    } catch (error) {
      if (error instanceof ConfigurationError) return error.faults;
      throw error;
    }
    return [];
  };
  const production = { ENVIRONMENT: 'production', JWT_SECRET_KEY: GOOD_SECRET };

  it('works without any variable', () => {
    const { config, providerSettings, gatewayConfig } = load();
    expect(config).toMatchObject({
      environment: 'development',
      logLevel: 'info',
      dataDir,
      http: { host: '0.0.0.0', port: 8000, workers: 1, bodyLimitBytes: 10_485_760, allowedHosts: [] },
      database: { url: undefined, migrateOnBoot: true },
      redis: { url: undefined },
      rateLimit: { storage: 'memory', requestsPerMinute: 60, requestsPerHour: 1000 },
      retry: { maxAttempts: 3, baseDelayMs: 500, maxDelayMs: 10_000 },
      billing: {
        currency: 'USD',
        usdRate: '1',
        defaultBalanceNanoUsd: 100_000_000_000n,
        holdTtlMs: 900_000,
        leases: true,
        idempotencyTtlMs: 86_400_000,
        auditIntervalMs: 86_400_000,
      },
      gatewayConfigPath: undefined,
    });
    expect(config.version).toMatch(/^\d+\.\d+\.\d+/);
    expect([...providerSettings.keys()]).toEqual(['echo']);
    expect(gatewayConfig.models.size).toBe(0);
  });

  it('is frozen all the way down, and prints no secret', () => {
    const { config } = load({
      ...production,
      REDIS_URL: 'redis://:hunter2@h/0',
      DATABASE_URL: 'postgres://u:hunter2@h/d',
      SENTRY_DSN: 'https://hunter2@h/1',
      METRICS_TOKEN: 'hunter2',
    });
    expect(
      Object.isFrozen(config) && Object.isFrozen(config.http) && Object.isFrozen(config.http.corsOrigins),
    ).toBe(true);
    for (const text of [
      JSON.stringify({ ...config, billing: undefined }),
      inspect(config, { depth: 9 }),
      String(config.auth.secret),
    ]) {
      expect(text).not.toMatch(/hunter2|q7Jt0x/);
      expect(text).toContain('[secret]');
    }
    expect(config.auth.secret?.reveal()).toBe(GOOD_SECRET);
  });

  it('reports all faults together, by name and without a value', () => {
    const file = join(dataDir, 'gateway.yaml');
    writeFileSync(
      file,
      'models: { m: { targets: [{ provider: nobody, model: secretmodel }] } }\nsurplus: secretvalue\n',
    );
    const faults = faultsOf({
      ENVIRONMENT: 'production',
      PORT: 'secretport',
      VENDOR_API_KEY: 'bad',
      GATEWAY_CONFIG: file,
      LANGFUSE_ENABLED: 'true',
    });
    expect(faults.map((fault) => fault.split(': ')[0])).toEqual([
      'PORT',
      'JWT_SECRET_KEY',
      'LANGFUSE_PUBLIC_KEY',
      'LANGFUSE_SECRET_KEY',
      'VENDOR_API_KEY',
      'surplus',
      'models.m.targets[0].provider',
    ]);
    expect(faults.join('\n')).not.toMatch(/secretport|secretvalue|secretmodel/);
  });

  it('takes keys for stored answers that are 32 bytes in base64, and shows none', () => {
    const [key, older] = ['q'.repeat(43), '7+/'.repeat(14) + 'A'].map((text) => `${text}=`);
    expect(load().config.billing.idempotencyKeys).toEqual([]);
    const { config } = load({ IDEMPOTENCY_ENCRYPTION_KEYS: `${key}, ${older}` });
    expect(config.billing.idempotencyKeys.map((secret) => secret.reveal())).toEqual([key, older]);
    expect(inspect(config, { depth: 9 })).not.toContain('qqq');
    for (const bad of ['qqq', `${key},qqq`, key?.slice(1), `${key}${key}`]) {
      const faults = faultsOf({ IDEMPOTENCY_ENCRYPTION_KEYS: bad });
      expect(faults.map((fault) => fault.split(':')[0])).toEqual(['IDEMPOTENCY_ENCRYPTION_KEYS']);
      expect(faults.join()).not.toContain('qqq');
    }
  });

  it('names a file that cannot be read', () => {
    expect(faultsOf({ GATEWAY_CONFIG: join(dataDir, 'nowhere.yaml') })).toEqual([
      'GATEWAY_CONFIG: the file cannot be read (ENOENT)',
    ]);
  });

  it('reads the file with the providers it may refer to', () => {
    const file = join(dataDir, 'gateway.yaml');
    writeFileSync(
      file,
      'models: { m: { targets: [{ provider: vendor, model: x }] } }\naliases: { a: vendor-model }\n',
    );
    expect(load({ GATEWAY_CONFIG: file }).gatewayConfig.models.get('m')?.targets).toHaveLength(1);
  });

  describe('the secret', () => {
    it.each([
      [{}, 'is required'],
      [{ JWT_SECRET_KEY: '' }, 'is required'],
      [{ JWT_SECRET_KEY: 'short' }, 'is shorter than 32 bytes'],
      [{ JWT_SECRET_KEY: 'your-secret-key-change-in-production' }, 'is a default'],
      [{ JWT_SECRET_KEY: 'x'.repeat(40), JWT_JWKS_URL: 'https://idp/jwks' }, 'repeats'],
    ])('%j stops a production boot', (environment, why) => {
      const faults = faultsOf({ ENVIRONMENT: 'production', ...environment });
      expect(faults).toHaveLength(1);
      expect(faults[0]).toMatch(new RegExp(`^JWT_SECRET_KEY: ${why}`));
      expect(readdirSync(dataDir)).toEqual([]);
    });

    it('is not needed in production with an identity provider, and then there is none', () => {
      const { config } = load({ ENVIRONMENT: 'production', JWT_JWKS_URL: 'https://idp.example/jwks' });
      expect(config.auth).toMatchObject({ secret: undefined, jwksUrl: 'https://idp.example/jwks' });
    });

    it('is never the kept one in production', () => {
      load();
      expect(readdirSync(dataDir)).toEqual(['jwt-secret']);
      expect(faultsOf({ ENVIRONMENT: 'production' })).toHaveLength(1);
    });

    it('outside production is made, kept, and warned of', () => {
      const first = load();
      expect(first.warnings.join()).toMatch(/JWT_SECRET_KEY: is not set/);
      expect(load().config.auth.secret?.reveal()).toBe(first.config.auth.secret?.reveal());
      expect(load({ JWT_SECRET_KEY: 'short' }).config.auth.secret?.reveal()).toBe('short');
      expect(load({ JWT_SECRET_KEY: 'short' }).warnings.join()).toMatch(/shorter than 32 bytes/);
    });

    it('is not made by a mere check', () => {
      loadConfiguration({ DATA_DIR: dataDir }, { providers, createSecret: false });
      expect(readdirSync(dataDir)).toEqual([]);
    });
  });

  it('says so when the GATEWAY_CONFIG file is empty: it may have been emptied', () => {
    const path = join(dataDir, 'gateway.yaml');
    const said = (text: string) => {
      writeFileSync(path, text);
      return load({ GATEWAY_CONFIG: path }).warnings.filter((line) => line.startsWith('GATEWAY_CONFIG'));
    };
    expect(said('# nothing\n')).toEqual(['GATEWAY_CONFIG: the file is empty']);
    expect(said('{}\n')).toEqual([]);
  });

  it('makes Supabase’s key set and issuer of its address', () => {
    const { config, warnings } = load({
      SUPABASE_URL: 'https://x.supabase.co/',
      SUPABASE_KEY: 'k',
      SUPABASE_SERVICE_ROLE_KEY: 'k',
    });
    expect(config.auth).toMatchObject({
      jwksUrl: 'https://x.supabase.co/auth/v1/.well-known/jwks.json',
      jwksIssuer: 'https://x.supabase.co/auth/v1',
      issuer: undefined,
    });
    expect(
      warnings.filter((line) => /^SUPABASE_(KEY|SERVICE_ROLE_KEY): is not used/.test(line)),
    ).toHaveLength(2);
    const own = load({
      SUPABASE_URL: 'https://x.supabase.co',
      JWT_JWKS_URL: 'https://idp/jwks',
      JWT_ISSUER: 'me',
    });
    expect(own.config.auth).toMatchObject({ jwksUrl: 'https://idp/jwks', jwksIssuer: 'me', issuer: 'me' });
  });

  it.each([
    [{}, undefined, 'memory'],
    [{ REDIS_PORT: '7000' }, undefined, 'memory'],
    [{ REDIS_HOST: 'cache' }, 'redis://cache:6379/0', 'redis'],
    [{ REDIS_HOST: '::1', REDIS_PORT: '7000', REDIS_DB: '3' }, 'redis://[::1]:7000/3', 'redis'],
    [{ RATE_LIMIT_STORAGE: 'redis' }, 'redis://localhost:6379/0', 'redis'],
    [{ REDIS_URL: 'rediss://h:1/2', REDIS_HOST: 'other' }, 'rediss://h:1/2', 'redis'],
    [{ REDIS_URL: '/tmp/r.sock', RATE_LIMIT_STORAGE: 'memory' }, '/tmp/r.sock', 'memory'],
  ])('%j: Redis at %s, limits in %s', (environment, url, storage) => {
    const { config } = load(environment);
    expect(config.redis.url?.reveal()).toBe(url);
    expect(config.rateLimit.storage).toBe(storage);
  });

  it.each([
    [{ RETRY_BASE_DELAY: '5', RETRY_MAX_DELAY: '1' }, /^RETRY_MAX_DELAY: /],
    [{ BILLING_USD_RATE: '0.9' }, /^BILLING_USD_RATE: must be 1/],
    [{ BILLING_USD_RATE: '0', BILLING_CURRENCY: 'EUR' }, /^BILLING_USD_RATE: must not be zero/],
    [{ CACHE_HIT_PRICE_FACTOR: '1.5' }, /^CACHE_HIT_PRICE_FACTOR: /],
  ])('refuses %j', (environment, fault) => {
    expect(faultsOf(environment)).toEqual([expect.stringMatching(fault)]);
  });

  it('warns of what may not be meant', () => {
    const { warnings } = load({
      ...production,
      CORS_ORIGINS: '*',
      BILLING_CURRENCY: 'EUR',
      HOLD_TTL_SECONDS: '10',
      DEBUG: 'true',
    });
    for (const name of [
      'CORS_ORIGINS',
      'BILLING_USD_RATE',
      'HOLD_TTL_SECONDS',
      'DEBUG',
      'DATABASE_URL',
      'METRICS_TOKEN',
      'BILLING_DEFAULT_BALANCE',
    ]) {
      expect(
        warnings.filter((line) => line.startsWith(`${name}: `)),
        name,
      ).toHaveLength(1);
    }
    for (const free of [{ BILLING_DEFAULT_BALANCE: '0' }, { BILLING_ENABLED: 'false' }])
      expect(load({ ...production, ...free }).warnings.join()).not.toContain('BILLING_DEFAULT_BALANCE');
    expect(load({ BILLING_CURRENCY: 'EUR', BILLING_USD_RATE: '0.92' }).config.billing.usdRate).toBe('0.92');
  });

  it('reads langfuse only when it is switched on', () => {
    expect(
      load({ LANGFUSE_PUBLIC_KEY: 'p', LANGFUSE_SECRET_KEY: 's' }).config.observability.langfuse,
    ).toBeUndefined();
    const on = load({
      LANGFUSE_ENABLED: 'yes',
      LANGFUSE_PUBLIC_KEY: 'p',
      LANGFUSE_SECRET_KEY: 's',
      LANGFUSE_HOST: 'http://lf/',
    });
    expect(on.config.observability.langfuse).toMatchObject({
      publicKey: 'p',
      host: 'http://lf',
      sampleRate: 1,
      captureContent: false,
    });
  });
});
