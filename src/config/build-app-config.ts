import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { AppConfig } from './app-config.js';
import { authSettings } from './auth-settings.js';
import type { Environment } from './environment.js';
import type { Findings } from './findings.js';
import { readConnectionTarget } from '../database/connection-target.js';
import { parseDecimal } from './parse-decimal.js';
import { Secret } from './secret.js';

/** Checked variables -> the nested configuration. The rules between variables go to `findings`. */
export function buildAppConfig(
  environment: Environment,
  findings: Findings,
  options: { createSecret: boolean },
): AppConfig {
  const dataDir = resolve(environment.DATA_DIR);
  const redisUrl = redisAddress(environment);
  checkProduction(environment, findings);
  return deepFreeze({
    environment: environment.ENVIRONMENT,
    version: environment.APP_VERSION ?? packageVersion(),
    debug: environment.DEBUG,
    logLevel: environment.LOG_LEVEL ?? (environment.DEBUG ? 'debug' : 'info'),
    dataDir,
    http: http(environment),
    auth: authSettings(environment, dataDir, findings, { create: options.createSecret }),
    database: {
      url: databaseAddress(environment, findings),
      migrateOnBoot: environment.DATABASE_MIGRATE,
      poolSize: environment.DATABASE_POOL_SIZE,
      preparedStatements: environment.DATABASE_PREPARED_STATEMENTS,
    },
    redis: { url: secret(redisUrl) },
    rateLimit: rateLimit(environment, redisUrl !== undefined),
    retry: retry(environment, findings),
    circuitBreaker: {
      enabled: environment.CIRCUIT_BREAKER_ENABLED,
      failureThreshold: environment.CIRCUIT_BREAKER_FAILURE_THRESHOLD,
      recoveryTimeoutMs: milliseconds(environment.CIRCUIT_BREAKER_RECOVERY_TIMEOUT),
    },
    timeouts: {
      connectMs: milliseconds(environment.CONNECT_TIMEOUT_SECONDS),
      firstChunkMs: milliseconds(environment.FIRST_CHUNK_TIMEOUT_SECONDS),
      streamIdleMs: milliseconds(environment.STREAM_IDLE_TIMEOUT_SECONDS),
      requestMs: milliseconds(environment.REQUEST_TIMEOUT_SECONDS),
    },
    concurrency: { perProvider: environment.PROVIDER_MAX_CONCURRENCY },
    billing: billing(environment, findings),
    cache: {
      modelsTtlMs: milliseconds(environment.MODELS_CACHE_TTL_SECONDS),
      responseTtlMs: milliseconds(environment.RESPONSE_CACHE_TTL_SECONDS),
      responseMaxBytes: environment.RESPONSE_CACHE_MAX_BYTES,
    },
    observability: observability(environment, findings),
    completions: {
      dropUnsupportedParams: environment.DROP_UNSUPPORTED_PARAMS,
      heartbeatMs: milliseconds(environment.STREAM_HEARTBEAT_SECONDS),
    },
    gatewayConfigPath: path(environment.GATEWAY_CONFIG),
  });
}

function http(environment: Environment): AppConfig['http'] {
  return {
    host: environment.HOST,
    port: environment.PORT,
    workers: environment.WORKERS || availableParallelism(),
    bodyLimitBytes: environment.BODY_LIMIT,
    // Both as browsers send them, or they would never match.
    corsOrigins: environment.CORS_ORIGINS.map((origin) => origin.toLowerCase()),
    allowedHosts: environment.ALLOWED_HOSTS.includes('*')
      ? []
      : environment.ALLOWED_HOSTS.map((host) => host.toLowerCase().replace(/:\d+$/, '')),
    docsEnabled: environment.DOCS_ENABLED,
    shutdownGraceMs: milliseconds(environment.SHUTDOWN_GRACE_SECONDS),
    trustProxyHops: environment.TRUST_PROXY_HOPS,
  };
}

/** REDIS_URL, else host, port and database when one of them, or the rate limits, ask for Redis. */
function redisAddress(environment: Environment): string | undefined {
  if (environment.REDIS_URL !== undefined) return environment.REDIS_URL;
  if (environment.REDIS_HOST === undefined && environment.RATE_LIMIT_STORAGE !== 'redis') return undefined;
  const host = environment.REDIS_HOST ?? 'localhost';
  return `redis://${host.includes(':') ? `[${host}]` : host}:${environment.REDIS_PORT}/${environment.REDIS_DB}`;
}

function rateLimit(environment: Environment, hasRedis: boolean): AppConfig['rateLimit'] {
  return {
    storage: environment.RATE_LIMIT_STORAGE ?? (hasRedis ? 'redis' : 'memory'),
    requestsPerMinute: environment.RATE_LIMIT_REQUESTS_PER_MINUTE,
    requestsPerHour: environment.RATE_LIMIT_REQUESTS_PER_HOUR,
    globalRequestsPerMinute: environment.RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE,
    tokensPerMinute: environment.RATE_LIMIT_TOKENS_PER_MINUTE,
    concurrentRequests: environment.RATE_LIMIT_CONCURRENT_REQUESTS,
  };
}

/** What the driver could not use is a fault of this variable, not a crash later in the startup. */
function databaseAddress({ DATABASE_URL: url }: Environment, findings: Findings): Secret | undefined {
  try {
    if (url !== undefined) readConnectionTarget(url);
  } catch (error) {
    findings.fault(error instanceof Error ? error.message : 'DATABASE_URL: cannot be used');
  }
  return secret(url);
}

function retry(environment: Environment, findings: Findings): AppConfig['retry'] {
  if (environment.RETRY_MAX_DELAY < environment.RETRY_BASE_DELAY) {
    findings.fault('RETRY_MAX_DELAY: must not be less than RETRY_BASE_DELAY');
  }
  return {
    enabled: environment.RETRY_ENABLED,
    maxAttempts: environment.RETRY_MAX_ATTEMPTS,
    baseDelayMs: milliseconds(environment.RETRY_BASE_DELAY),
    maxDelayMs: milliseconds(environment.RETRY_MAX_DELAY),
  };
}

function billing(environment: Environment, findings: Findings): AppConfig['billing'] {
  checkCurrency(environment, findings);
  if (environment.HOLD_TTL_SECONDS < environment.REQUEST_TIMEOUT_SECONDS) {
    findings.warn(
      'HOLD_TTL_SECONDS: is less than REQUEST_TIMEOUT_SECONDS; a long request may outlive its hold',
    );
  }
  return {
    enabled: environment.BILLING_ENABLED,
    currency: environment.BILLING_CURRENCY,
    usdRate: environment.BILLING_USD_RATE,
    defaultBalanceNanoUsd: nano(environment.BILLING_DEFAULT_BALANCE),
    outageMode: environment.BILLING_OUTAGE_MODE,
    outageCreditNanoUsd: nano(environment.BILLING_OUTAGE_CREDIT),
    holdTtlMs: milliseconds(environment.HOLD_TTL_SECONDS),
    leases: environment.BILLING_LEASES,
    cacheHitPriceFactor: environment.CACHE_HIT_PRICE_FACTOR,
    idempotencyTtlMs: milliseconds(environment.IDEMPOTENCY_TTL_HOURS * 3600),
    idempotencyKeys: environment.IDEMPOTENCY_ENCRYPTION_KEYS.map((key) => new Secret(key)),
    retentionMs: milliseconds(environment.BILLING_RETENTION_DAYS * 86_400),
    auditIntervalMs: milliseconds(environment.LEDGER_AUDIT_INTERVAL_HOURS * 3600),
  };
}

function checkCurrency(environment: Environment, findings: Findings): void {
  const isOne = /^0*1(\.0+)?$/.test(environment.BILLING_USD_RATE);
  if (/^[0.]+$/.test(environment.BILLING_USD_RATE)) findings.fault('BILLING_USD_RATE: must not be zero');
  else if (environment.BILLING_CURRENCY === 'USD' && !isOne) {
    findings.fault('BILLING_USD_RATE: must be 1 while BILLING_CURRENCY is USD');
  } else if (environment.BILLING_CURRENCY !== 'USD' && isOne) {
    findings.warn(
      'BILLING_USD_RATE: is 1, so built-in prices in US dollars are charged as if they were in BILLING_CURRENCY',
    );
  }
  if (parseDecimal(environment.CACHE_HIT_PRICE_FACTOR, 9)! > 1_000_000_000n) {
    findings.fault('CACHE_HIT_PRICE_FACTOR: must be from 0 to 1');
  }
}

function observability(environment: Environment, findings: Findings): AppConfig['observability'] {
  return {
    logFile: path(environment.LOG_FILE),
    auditLogFile: path(environment.AUDIT_LOG_FILE),
    prometheusEnabled: environment.PROMETHEUS_ENABLED,
    metricsToken: secret(environment.METRICS_TOKEN),
    metricsMaxUsers: environment.METRICS_MAX_USERS,
    sentryDsn: secret(environment.SENTRY_DSN),
    sentryTracesSampleRate: environment.SENTRY_TRACES_SAMPLE_RATE,
    sentryAutoInstrumentation: environment.SENTRY_AUTO_INSTRUMENTATION,
    langfuse: langfuse(environment, findings),
  };
}

function langfuse(environment: Environment, findings: Findings): AppConfig['observability']['langfuse'] {
  const { LANGFUSE_PUBLIC_KEY: publicKey, LANGFUSE_SECRET_KEY: secretKey } = environment;
  if (!environment.LANGFUSE_ENABLED) return undefined;
  if (publicKey === undefined)
    findings.fault('LANGFUSE_PUBLIC_KEY: is required while LANGFUSE_ENABLED is true');
  if (secretKey === undefined)
    findings.fault('LANGFUSE_SECRET_KEY: is required while LANGFUSE_ENABLED is true');
  if (publicKey === undefined || secretKey === undefined) return undefined;
  return {
    publicKey,
    secretKey: new Secret(secretKey),
    host: environment.LANGFUSE_HOST.replace(/\/+$/, ''),
    sampleRate: environment.LANGFUSE_SAMPLE_RATE,
    captureContent: environment.LANGFUSE_CAPTURE_CONTENT,
  };
}

/** What is allowed in production, but should be meant. */
function checkProduction(environment: Environment, findings: Findings): void {
  for (const name of ['SUPABASE_KEY', 'SUPABASE_SERVICE_ROLE_KEY'] as const) {
    if (environment[name] !== undefined)
      findings.warn(`${name}: is not used; the gateway connects to Supabase's Postgres through DATABASE_URL`);
  }
  if (environment.ENVIRONMENT !== 'production') return;
  if (environment.CORS_ORIGINS.includes('*')) findings.warn('CORS_ORIGINS: allows every origin');
  if (environment.DATABASE_URL === undefined)
    findings.warn('DATABASE_URL: is not set; the embedded database serves only one machine');
  if (environment.DEBUG) findings.warn('DEBUG: is on in production');
  if (environment.PROMETHEUS_ENABLED && environment.METRICS_TOKEN === undefined) {
    findings.warn('METRICS_TOKEN: is not set; /metrics is open to anyone who can reach the port');
  }
  if (environment.BILLING_ENABLED && nano(environment.BILLING_DEFAULT_BALANCE) > 0n) {
    findings.warn(
      'BILLING_DEFAULT_BALANCE: is above 0; every user is granted it on the first request with a valid token',
    );
  }
}

function secret(value: string | undefined): Secret | undefined {
  return value === undefined ? undefined : new Secret(value);
}

function path(value: string | undefined): string | undefined {
  return value === undefined ? undefined : resolve(value);
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}

/** For amounts whose form the environment class has checked. */
function nano(amount: string): bigint {
  return parseDecimal(amount, 9) ?? 0n;
}

/** The package's own version; the folder above differs between sources and build. */
function packageVersion(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const manifest: unknown = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (typeof manifest === 'object' && manifest !== null && 'version' in manifest)
        return String(manifest.version);
    } catch {
      // not at this depth
    }
  }
  return '0.0.0';
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === 'object' && part !== null) deepFreeze(part);
  }
  return Object.freeze(value);
}
