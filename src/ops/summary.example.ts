const HISTOGRAM = { bounds: [0.1, 1, 10], counts: [4, 10, 12], count: 12 };

/** For the API documentation. */
export const SUMMARY_EXAMPLE = {
  timestamp: '2026-11-23T12:00:00.000Z',
  version: '1.0.0',
  environment: 'production',
  currency: 'USD',
  uptime_seconds: 3600,
  workers: 1,
  worker_deaths: 0,
  requests: { total: 12, failed: 1, by_status: { '200': 11, '503': 1 } },
  models: [
    {
      model: 'gpt-4',
      provider: 'openai',
      requests: 12,
      failed: 1,
      input_tokens: 3400,
      output_tokens: 1200,
      cost: 0.174,
    },
  ],
  errors: { provider_overloaded: 1 },
  attempts: { openai: { ok: 11, failed: 1 } },
  latency: HISTOGRAM,
  first_token: HISTOGRAM,
  overhead: HISTOGRAM,
  rate_limits: { allowed: 12 },
  cache: { miss: 12 },
  money: { holds_open: 0, shortfall_total: 0 },
  streams_open: 0,
  cost_total: 0.174,
  tokens_total: 4600,
  dropped: { sentry: 0 },
};
