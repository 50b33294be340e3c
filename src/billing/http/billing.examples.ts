/** Examples for the API documentation. */
export const BALANCE_EXAMPLE = {
  user_id: 'alice',
  balance: 95.5,
  currency: 'USD',
  held: 0.12,
  available: 95.38,
};

export const TRANSACTIONS_EXAMPLE = {
  user_id: 'alice',
  transactions: [
    {
      id: 'txn_0199a6f0c0de7000800000000000002a',
      type: 'charge',
      amount: -0.002,
      description: 'Chat completion with gpt-3.5-turbo',
      timestamp: '2026-11-23T12:00:00.000Z',
      balance_after: 95.5,
      request_id: '0199a6f0-c0de-7000-8000-00000000002a',
      model: 'gpt-3.5-turbo',
      provider: 'openai',
      prompt_tokens: 1000,
      completion_tokens: 1000,
      price: { version: '9f86d081…', factor: '1' },
    },
  ],
  limit: 10,
  offset: 0,
};

const SPEND = {
  requests: 12,
  prompt_tokens: 3400,
  completion_tokens: 1200,
  charged: 0.0034,
  refunded: 0,
  net: 0.0034,
};

export const USAGE_EXAMPLE = {
  user_id: 'alice',
  from: '2026-11-01T00:00:00.000Z',
  to: '2026-12-01T00:00:00.000Z',
  group_by: 'day',
  usage: [{ key: '2026-11-23', ...SPEND }],
};

export const REPORT_EXAMPLE = {
  from: '2026-11-01T00:00:00.000Z',
  to: '2026-12-01T00:00:00.000Z',
  group_by: 'model',
  currency: 'USD',
  rows: [{ key: 'gpt-4', ...SPEND }],
  total: 1,
  limit: 10_000,
  offset: 0,
};

export const ENTRIES_EXAMPLE = {
  from: '2026-11-01T00:00:00.000Z',
  to: '2026-12-01T00:00:00.000Z',
  currency: 'USD',
  transactions: TRANSACTIONS_EXAMPLE.transactions.map((entry) => ({
    user_id: 'alice',
    ...entry,
    actor: null,
    idempotency_key: null,
  })),
  limit: 100,
  offset: 0,
};

export const BOOKING_EXAMPLE = {
  id: 'txn_0199a6f0c0de7000800000000000002a',
  user_id: 'alice',
  amount: 25,
  balance_after: 120.5,
  timestamp: '2026-11-23T12:00:00.000Z',
  replayed: false,
};

const UNKNOWN_COST = {
  id: '0199a6f0-c0de-7000-8000-00000000002b-1',
  billing_id: '0199a6f0-c0de-7000-8000-00000000002b',
  attempt: 1,
  request_id: '0199a6f0-c0de-7000-8000-00000000002a',
  user_id: 'alice',
  provider: 'openai',
  upstream_model: 'gpt-4-0613',
  provider_request_id: 'req_2b',
  reason: 'first_chunk_timeout',
  timestamp: '2026-11-23T12:00:00.000Z',
  reconciled_at: '2026-12-03T09:00:00.000Z',
  amount: 0.0123,
  description: 'November invoice, line 12',
  actor: 'root',
  transaction_id: 'txn_0199a6f0c0de7000800000000000002a',
};

export const UNKNOWN_COSTS_EXAMPLE = {
  currency: 'USD',
  unknown_costs: [UNKNOWN_COST],
  total: 1,
  limit: 100,
  offset: 0,
};

export const RECONCILED_EXAMPLE = { ...UNKNOWN_COST, balance_after: 95.4877, replayed: false };

/** What a call does not have before it is reconciled, and of its provider's ids when none was told. */
export const UNKNOWN_COST_NULLABLE = [
  'provider_request_id',
  'reconciled_at',
  'amount',
  'description',
  'actor',
  'transaction_id',
];

export const RECEIPT_EXAMPLE = {
  request_id: '0199a6f0-c0de-7000-8000-00000000002a',
  billing_id: '0199a6f0-c0de-7000-8000-00000000002b',
  user_id: 'alice',
  model: 'echo',
  stream: false,
  state: 'captured',
  outcome: 'ok',
  created_at: '2026-11-23T12:00:00.000Z',
  settled_at: '2026-11-23T12:00:00.400Z',
  hold: { amount: 0.0041, worst_case: 0.0041, on_credit: false, expires_at: '2026-11-23T12:15:00.000Z' },
  attempts: [
    {
      provider: 'echo',
      model: 'echo',
      outcome: 'ok',
      status: 200,
      provider_request_id: null,
      duration_ms: 12,
    },
  ],
  settlement: {
    charged: 0.000011,
    shortfall: 0,
    refunded: 0,
    provider: 'echo',
    upstream_model: 'echo',
    usage: { inputTokens: 3, outputTokens: 4 },
    usage_source: 'provider',
    price_version: '9f86d081…',
    price_factor: '1',
    lines: [{ category: 'input', quantity: 3, unit_price_per_million: '1', amount: 0.000003 }],
  },
  entries: [],
  same_request_id: [],
};

/** What a receipt does not have while the request is under way, or when the provider told nothing. */
export const RECEIPT_NULLABLE = [
  'outcome',
  'settled_at',
  'settlement',
  'provider',
  'upstream_model',
  'usage',
  'usage_source',
  'price_version',
  'status',
  'provider_request_id',
];

export const AUDIT_EXAMPLE = {
  ok: true,
  checked: { accounts: 3, entries: 124, charges: 120, open_holds: 1 },
  checks: { balance_is_sum_of_ledger: 0, held_is_sum_of_open_holds: 0, charge_is_usage_times_price: 0 },
  mismatches: [],
};

export const ESTIMATE_EXAMPLE = {
  model: 'echo',
  currency: 'USD',
  worst_case: 0.0041,
  expected: 0.00053,
  input_tokens_bound: 92,
  expected_input_tokens: 8,
  max_output_tokens: 4096,
  expected_output_tokens: 512,
  available: 95.38,
  covered: true,
  affordable_output_tokens: 4096,
  targets: [{ provider: 'echo', upstream_model: 'echo', price_version: '9f86d081…', worst_case: 0.0041 }],
};
