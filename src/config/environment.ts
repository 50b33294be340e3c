import 'reflect-metadata';
import { plainToInstance } from 'class-transformer';
import { validateSync } from 'class-validator';
import {
  Address,
  DecimalText,
  Flag,
  Fractional,
  List,
  OneOf,
  Pattern,
  RedisAddress,
  Size,
  Text,
  Whole,
  Workers,
} from './environment-fields.js';

export type RawEnvironment = Readonly<Record<string, string | undefined>>;

const DAY_SECONDS = 86_400;
const origin = /^(\*|https?:\/\/[a-z0-9.-]+(:\d{1,5})?|https?:\/\/\[[0-9a-f:]+\](:\d{1,5})?)$/i;
const hostName = /^(\*|(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?|\[[0-9a-f:]+\](:\d{1,5})?)$/i;
const cipherKey = /^[A-Za-z0-9+/]{43}=$/;

/**
 * Every variable of the gateway itself, with its default; the providers' own are read by their folders.
 * What each means, with unit and reader, stands in `.env.example`; a test keeps the two alike.
 */
export class Environment {
  @OneOf(['development', 'test', 'staging', 'production'], {
    dev: 'development',
    prod: 'production',
    testing: 'test',
  })
  ENVIRONMENT: 'development' | 'test' | 'staging' | 'production' = 'development';
  @Flag() DEBUG = false;
  @OneOf(['debug', 'info', 'warn', 'error'], {
    warning: 'warn',
    critical: 'error',
    fatal: 'error',
    trace: 'debug',
    verbose: 'debug',
  })
  LOG_LEVEL?: 'debug' | 'info' | 'warn' | 'error';
  @Text() APP_VERSION?: string;
  @Text() DATA_DIR = './data';
  @Text() GATEWAY_CONFIG?: string;

  @Pattern(/^[a-zA-Z0-9.:_-]+$/, 'a host name or address to listen on') HOST = '0.0.0.0';
  @Whole(0, 65_535) PORT = 8000;
  @Workers() WORKERS = 1;
  @Size(1024, 512 * 2 ** 20) BODY_LIMIT = 10 * 2 ** 20;
  @List('origins such as https://app.example.com, or *', (item) => origin.test(item)) CORS_ORIGINS: string[] =
    [];
  @List('host names such as api.example.com or *.example.com, or *', (item) => hostName.test(item))
  ALLOWED_HOSTS: string[] = [];
  @Flag() DOCS_ENABLED = true;
  @Fractional(0, 3600, 'seconds') SHUTDOWN_GRACE_SECONDS = 30;
  @Whole(0, 32) TRUST_PROXY_HOPS = 0;

  @Text() JWT_SECRET_KEY?: string;
  @OneOf(['HS256', 'HS384', 'HS512']) JWT_ALGORITHM: 'HS256' | 'HS384' | 'HS512' = 'HS256';
  @Whole(1, 525_600) JWT_ACCESS_TOKEN_EXPIRE_MINUTES = 60;
  @Address(['https', 'http']) JWT_JWKS_URL?: string;
  @Text() JWT_ISSUER?: string;
  @Text() JWT_AUDIENCE?: string;
  @Address(['https', 'http']) SUPABASE_URL?: string;
  @Text() SUPABASE_KEY?: string;
  @Text() SUPABASE_SERVICE_ROLE_KEY?: string;

  @Pattern(/^postgres(ql)?:\/\/\S+$/, 'an address starting with postgres:// or postgresql://')
  DATABASE_URL?: string;
  @Flag() DATABASE_MIGRATE = true;
  @Whole(1, 1000) DATABASE_POOL_SIZE = 10;
  @OneOf(['auto', 'off']) DATABASE_PREPARED_STATEMENTS: 'auto' | 'off' = 'auto';

  @RedisAddress() REDIS_URL?: string;
  @Pattern(/^[a-zA-Z0-9.:_-]+$/, 'a host name or address') REDIS_HOST?: string;
  @Whole(1, 65_535) REDIS_PORT = 6379;
  @Whole(0, 1_000_000) REDIS_DB = 0;

  @OneOf(['redis', 'memory']) RATE_LIMIT_STORAGE?: 'redis' | 'memory';
  @Whole(0, 1_000_000_000) RATE_LIMIT_REQUESTS_PER_MINUTE = 60;
  @Whole(0, 1_000_000_000) RATE_LIMIT_REQUESTS_PER_HOUR = 1000;
  @Whole(0, 1_000_000_000) RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE = 0;
  @Whole(0, 1_000_000_000_000) RATE_LIMIT_TOKENS_PER_MINUTE = 0;
  @Whole(0, 1_000_000) RATE_LIMIT_CONCURRENT_REQUESTS = 0;

  @Flag() RETRY_ENABLED = true;
  @Whole(1, 20) RETRY_MAX_ATTEMPTS = 3;
  @Fractional(0, 600, 'seconds') RETRY_BASE_DELAY = 0.5;
  @Fractional(0, 600, 'seconds') RETRY_MAX_DELAY = 10;
  @Flag() CIRCUIT_BREAKER_ENABLED = true;
  @Whole(1, 10_000) CIRCUIT_BREAKER_FAILURE_THRESHOLD = 5;
  @Fractional(0.1, DAY_SECONDS, 'seconds') CIRCUIT_BREAKER_RECOVERY_TIMEOUT = 30;
  @Fractional(0.05, 3600, 'seconds') CONNECT_TIMEOUT_SECONDS = 5;
  @Fractional(0.05, DAY_SECONDS, 'seconds') FIRST_CHUNK_TIMEOUT_SECONDS = 120;
  @Fractional(0.05, DAY_SECONDS, 'seconds') STREAM_IDLE_TIMEOUT_SECONDS = 60;
  @Fractional(0.05, DAY_SECONDS, 'seconds') REQUEST_TIMEOUT_SECONDS = 600;
  @Whole(1, 100_000) PROVIDER_MAX_CONCURRENCY = 512;

  @Flag() BILLING_ENABLED = true;
  @Pattern(/^[A-Z]{3}$/, 'a currency code of three capital letters') BILLING_CURRENCY = 'USD';
  @DecimalText(9, 'units of BILLING_CURRENCY for one US dollar') BILLING_USD_RATE = '1';
  @DecimalText(9, 'an amount in BILLING_CURRENCY') BILLING_DEFAULT_BALANCE = '100';
  @OneOf(['degraded', 'closed']) BILLING_OUTAGE_MODE: 'degraded' | 'closed' = 'degraded';
  @DecimalText(9, 'an amount in BILLING_CURRENCY') BILLING_OUTAGE_CREDIT = '10';
  @Fractional(1, 7 * DAY_SECONDS, 'seconds') HOLD_TTL_SECONDS = 900;
  @Flag() BILLING_LEASES = true;
  @Fractional(0.01, 24 * 365, 'hours') IDEMPOTENCY_TTL_HOURS = 24;
  @List('keys of 32 bytes in base64 (openssl rand -base64 32)', (item) => cipherKey.test(item))
  IDEMPOTENCY_ENCRYPTION_KEYS: string[] = [];
  @Whole(0, 36_500) BILLING_RETENTION_DAYS = 400;
  @Fractional(0, 24 * 365, 'hours') LEDGER_AUDIT_INTERVAL_HOURS = 24;
  @DecimalText(9, 'the share of the price charged for a cached answer') CACHE_HIT_PRICE_FACTOR = '0';

  @Fractional(0, DAY_SECONDS, 'seconds') MODELS_CACHE_TTL_SECONDS = 60;
  @Fractional(0, 30 * DAY_SECONDS, 'seconds') RESPONSE_CACHE_TTL_SECONDS = 300;
  @Size(0, 64 * 2 ** 20) RESPONSE_CACHE_MAX_BYTES = 2 ** 20;

  @Flag() DROP_UNSUPPORTED_PARAMS = false;
  @Fractional(0, 3600, 'seconds') STREAM_HEARTBEAT_SECONDS = 15;

  @Text() LOG_FILE?: string;
  @Text() AUDIT_LOG_FILE?: string;
  @Flag() PROMETHEUS_ENABLED = true;
  @Text() METRICS_TOKEN?: string;
  @Whole(0, 10_000) METRICS_MAX_USERS = 100;
  @Flag() LANGFUSE_ENABLED = false;
  @Text() LANGFUSE_PUBLIC_KEY?: string;
  @Text() LANGFUSE_SECRET_KEY?: string;
  @Address(['https', 'http']) LANGFUSE_HOST = 'https://cloud.langfuse.com';
  @Fractional(0, 1) LANGFUSE_SAMPLE_RATE = 1;
  @Flag() LANGFUSE_CAPTURE_CONTENT = false;
  @Address(['https', 'http'], { credentials: true }) SENTRY_DSN?: string;
  @Fractional(0, 1) SENTRY_TRACES_SAMPLE_RATE = 0;
  @Flag() SENTRY_AUTO_INSTRUMENTATION = false;
}

/**
 * Reads and checks the texts. A blank variable counts as unset, as in a copied `.env.example`.
 * A faulty one has its default in `environment`, so that the rules between variables can be checked all the same.
 */
export function readEnvironmentVariables(raw: RawEnvironment): {
  environment: Environment;
  faults: string[];
} {
  const environment = plainToInstance(Environment, withoutBlanks(raw), {
    excludeExtraneousValues: true,
    exposeDefaultValues: true,
  });
  const errors = validateSync(environment, {
    forbidUnknownValues: true,
    validationError: { target: false, value: false },
  });
  const faults = errors.flatMap(({ property, constraints }) =>
    Object.values(constraints ?? {}).map((message) => `${property}: ${message}`),
  );
  const defaults = new Environment();
  for (const { property } of errors) Reflect.set(environment, property, Reflect.get(defaults, property));
  return { environment, faults };
}

/** The variables that say something. */
export function withoutBlanks(raw: RawEnvironment): Record<string, string> {
  const entries = Object.entries(raw).filter(
    (entry): entry is [string, string] => (entry[1] ?? '').trim() !== '',
  );
  return Object.fromEntries(entries);
}
