/** Answers as the API documentation shows them. */

const TIMESTAMP = '2026-11-23T10:00:00.000Z';

export const LIVENESS = { status: 'healthy', timestamp: TIMESTAMP, version: '1.0.0', uptime_seconds: 3600 };

const DATABASE = {
  status: 'up',
  latency_ms: 0.8,
  details: { embedded: false, migrated: true, pool: { total: 4, idle: 4, waiting: 0 } },
};
const JOURNAL = { status: 'up', latency_ms: 0.1, details: { unsettled_records: 0, oldest_seconds: 0 } };

export const READY = {
  status: 'ready',
  draining: false,
  checks: { database: DATABASE, billing_journal: JOURNAL },
};

export const NOT_READY = {
  status: 'not_ready',
  draining: true,
  checks: { database: DATABASE, billing_journal: JOURNAL },
  error: {
    message: 'The gateway is shutting down.',
    type: 'overloaded_error',
    param: null,
    code: 'draining',
  },
};

export const DETAILED = {
  status: 'degraded',
  timestamp: TIMESTAMP,
  version: '1.0.0',
  uptime_seconds: 3600,
  draining: false,
  components: {
    database: DATABASE,
    billing_journal: JOURNAL,
    cache: { status: 'up', latency_ms: 0.3, details: { store: 'redis', redis: 'up', since: TIMESTAMP } },
    rate_limits: { status: 'up', latency_ms: 0, details: { mode: 'redis', since: TIMESTAMP, instances: 2 } },
    event_loop: {
      status: 'up',
      latency_ms: 0.1,
      details: { mean_ms: 0.1, p50_ms: 0.1, p99_ms: 2.1, max_ms: 9.4, utilization: 0.2, cpu: 0.19 },
    },
    providers: {
      openai: { status: 'up', latency_ms: 212.5, details: { circuit: 'closed' } },
      anthropic: { status: 'down', latency_ms: 0, details: { circuit: 'open', error: 'circuit_open' } },
    },
  },
};

const LAST_FAILURE = { at: TIMESTAMP, code: 'provider_overloaded', status: 503, connection: null };

export const CIRCUIT_BREAKERS = {
  timestamp: TIMESTAMP,
  circuit_breakers: {
    openai: {
      state: 'closed',
      failures: 0,
      opened_at: null,
      next_attempt_at: null,
      last_failure: null,
      models: {},
    },
    anthropic: {
      state: 'open',
      failures: 5,
      opened_at: TIMESTAMP,
      next_attempt_at: '2026-11-23T10:01:00.000Z',
      last_failure: LAST_FAILURE,
      models: {
        'claude-3': {
          state: 'open',
          failures: 5,
          opened_at: TIMESTAMP,
          next_attempt_at: '2026-11-23T10:01:00.000Z',
          last_failure: LAST_FAILURE,
        },
      },
    },
  },
};

export const SYSTEM = {
  timestamp: TIMESTAMP,
  version: '1.0.0',
  environment: 'production',
  node_version: 'v26.10.0',
  pid: 1,
  uptime_seconds: 3600,
  cpu: { percent: 12.5, cores: 4 },
  load: { '1m': 0.4, '5m': 0.3, '15m': 0.3 },
  memory: {
    rss_bytes: 188_743_680,
    external_bytes: 4_194_304,
    array_buffers_bytes: 1_048_576,
    limit_bytes: 536_870_912,
    system_total_bytes: 8_589_934_592,
    system_free_bytes: 4_294_967_296,
    percent: 50,
  },
  heap: { used_bytes: 73_400_320, total_bytes: 104_857_600, limit_bytes: 4_345_298_944 },
  event_loop: { mean_ms: 0.1, p50_ms: 0.1, p99_ms: 2.1, max_ms: 9.4, utilization: 0.2, cpu: 0.19 },
  disk: { total_bytes: 107_374_182_400, free_bytes: 64_424_509_440, percent: 40 },
  connections: { open: 12 },
};

export const HISTORY = {
  interval_seconds: 30,
  count: 1,
  history: [
    {
      timestamp: TIMESTAMP,
      status: 'healthy',
      components: {
        database: { status: 'up', latency_ms: 0.8 },
        'providers.openai': { status: 'up', latency_ms: 212.5 },
      },
    },
  ],
};
