import type { Secret } from './secret.js';

/** Injection token of the frozen `AppConfig`. */
export const APP_CONFIG = Symbol('APP_CONFIG');

/**
 * The environment after validation: nested, typed, frozen. `process.env` is read in `config/` only.
 * Units are in the names; secrets print as `[secret]`.
 */
export interface AppConfig {
  readonly environment: 'development' | 'test' | 'staging' | 'production';
  readonly version: string;
  readonly debug: boolean;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** Where the embedded database and the billing journal live. */
  readonly dataDir: string;
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly workers: number;
    readonly bodyLimitBytes: number;
    readonly corsOrigins: readonly string[];
    /** In lower case, without ports; `*.` at the beginning = any subdomain. Empty = every host. */
    readonly allowedHosts: readonly string[];
    readonly docsEnabled: boolean;
    readonly shutdownGraceMs: number;
    /** Proxies whose X-Forwarded-For is believed; 0 = none. */
    readonly trustProxyHops: number;
  };
  readonly auth: {
    /** Undefined only when tokens come from JWKS alone. */
    readonly secret: Secret | undefined;
    readonly algorithm: 'HS256' | 'HS384' | 'HS512';
    readonly accessTokenExpireMinutes: number;
    readonly jwksUrl: string | undefined;
    /** Wanted of every token. */
    readonly issuer: string | undefined;
    /** Wanted of tokens signed with a JWKS key: `issuer`, or the one that SUPABASE_URL implies. */
    readonly jwksIssuer: string | undefined;
    readonly audience: string | undefined;
  };
  readonly database: {
    /** Undefined = embedded PostgreSQL under `dataDir`. */
    readonly url: Secret | undefined;
    readonly migrateOnBoot: boolean;
    readonly poolSize: number;
    /** `auto`: kept by name until the server turns out to be a transaction pooler. */
    readonly preparedStatements: 'auto' | 'off';
  };
  readonly redis: {
    /** Undefined = no Redis: memory for limits and cache. */
    readonly url: Secret | undefined;
  };
  readonly rateLimit: {
    readonly storage: 'redis' | 'memory';
    readonly requestsPerMinute: number;
    readonly requestsPerHour: number;
    /** 0 = off, for each of the following. */
    readonly globalRequestsPerMinute: number;
    readonly tokensPerMinute: number;
    readonly concurrentRequests: number;
  };
  readonly retry: {
    readonly enabled: boolean;
    /** Attempts in all, the first included. */
    readonly maxAttempts: number;
    readonly baseDelayMs: number;
    readonly maxDelayMs: number;
  };
  readonly circuitBreaker: {
    readonly enabled: boolean;
    readonly failureThreshold: number;
    readonly recoveryTimeoutMs: number;
  };
  readonly timeouts: {
    readonly connectMs: number;
    readonly firstChunkMs: number;
    readonly streamIdleMs: number;
    readonly requestMs: number;
  };
  readonly concurrency: { readonly perProvider: number };
  readonly billing: {
    readonly enabled: boolean;
    readonly currency: string;
    /** Units of `currency` for one US dollar, a decimal text: built-in prices are multiplied by it. */
    readonly usdRate: string;
    /** Nano-units of the currency. */
    readonly defaultBalanceNanoUsd: bigint;
    readonly outageMode: 'degraded' | 'closed';
    /** What one instance may serve on credit, in all, while Postgres is away. */
    readonly outageCreditNanoUsd: bigint;
    readonly holdTtlMs: number;
    /** Money is reserved ahead for active users. */
    readonly leases: boolean;
    readonly cacheHitPriceFactor: string;
    readonly idempotencyTtlMs: number;
    /** What stored answers are encrypted with: the first encrypts, all decrypt. None: they lie as they are. */
    readonly idempotencyKeys: readonly Secret[];
    /** How long what is no evidence of money is kept; 0 = for ever. */
    readonly retentionMs: number;
    /** 0 = only when somebody asks. */
    readonly auditIntervalMs: number;
  };
  readonly cache: {
    readonly modelsTtlMs: number;
    readonly responseTtlMs: number;
    readonly responseMaxBytes: number;
  };
  readonly observability: {
    /** `LOG_FILE`: log lines go there instead of stdout; opened anew on SIGUSR2. */
    readonly logFile?: string | undefined;
    /** `AUDIT_LOG_FILE`: a file of its own for administrative and security events. */
    readonly auditLogFile?: string | undefined;
    readonly prometheusEnabled: boolean;
    readonly metricsToken: Secret | undefined;
    readonly metricsMaxUsers: number;
    readonly sentryDsn: Secret | undefined;
    readonly sentryTracesSampleRate: number;
    readonly sentryAutoInstrumentation: boolean;
    readonly langfuse:
      | {
          readonly publicKey: string;
          readonly secretKey: Secret;
          readonly host: string;
          readonly sampleRate: number;
          readonly captureContent: boolean;
        }
      | undefined;
  };
  readonly completions: {
    readonly dropUnsupportedParams: boolean;
    readonly heartbeatMs: number;
  };
  /** Path of the GATEWAY_CONFIG file, when there is one. */
  readonly gatewayConfigPath: string | undefined;
}
