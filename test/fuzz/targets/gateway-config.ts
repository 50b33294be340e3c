import assert from 'node:assert/strict';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { expectCleanPrototypes } from '../expectations.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { hostileText, type Json, mutated } from '../hostile-json.js';

const SECRET = 'sk-canary-of-the-config-fuzzer';
const ENV = { LOCAL_API_KEY: SECRET, EMPTY: '' };
const BUILT_INS = {
  providers: new Set(['openai', 'anthropic', 'google', 'echo']),
  models: new Set(['gpt-4', 'gpt-3.5-turbo', 'claude-3', 'echo']),
};

const EXAMPLE: Json = {
  providers: {
    local: {
      type: 'openai-compatible',
      base_url: 'http://127.0.0.1:8080/v1',
      api_key_env: 'LOCAL_API_KEY',
      api_key_header: 'x-api-key',
      headers: { 'x-team': 'a' },
      timeout_seconds: '30',
      options: {
        query: { 'api-version': '1' },
        output_limit_field: 'max_tokens',
        stream_usage: 'true',
        allowed_params: ['provider'],
      },
    },
  },
  models: {
    small: {
      targets: [{ provider: 'local', model: 'm', weight: '1' }],
      price: {
        input_per_million: '0.10',
        output_per_million: '0.40',
        per_request: '0.001',
        tool_calls: { web_search: '0.01' },
        tiers: [{ above_input_tokens: '200000', input_per_million: '0.20' }],
      },
      context_window: '8192',
      max_output_tokens: '2048',
      fallbacks: ['gpt-4'],
      capabilities: { vision: 'true' },
      cache: { ttl_seconds: '60' },
    },
    'or/*': {
      targets: [{ provider: 'local', model: 'x/*' }],
      price: { input_per_million: '1', output_per_million: '1' },
    },
  },
  aliases: { fast: 'gpt-3.5-turbo' },
};

const ADDRESSES = [
  'http://169.254.169.254/latest',
  'http://2852039166/',
  'http://[::ffff:169.254.169.254]/',
  'http://metadata.google.internal/',
  'http://0.0.0.0/',
  'http://user:pw@host/',
  'http://host/?key=x',
  'gopher://127.0.0.1/',
  'http://127.0.0.1:8080\\@169.254.169.254/',
];

const YAML_WORDS = [
  '&a',
  '*a',
  '<<: *a',
  '!!binary',
  '!!js/function',
  '---',
  '...',
  '? ',
  '| ',
  '>- ',
  '{',
  '[',
  ': ',
];

const texts = (): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 4, arbitrary: mutated([EXAMPLE], 3).map(toYaml) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(mutated([EXAMPLE], 1), fc.nat(2_000), fc.oneof(fc.constantFrom(...YAML_WORDS), hostileText()))
        .map(([value, at, text]) => insert(toYaml(value), at, text)),
    },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(...ADDRESSES)
        .map((address) => toYaml(EXAMPLE).replace('http://127.0.0.1:8080/v1', address)),
    },
  );

function toYaml(value: Json): string {
  try {
    return stringify(value);
  } catch {
    return JSON.stringify(value); // lone surrogates and the like: still nearly YAML
  }
}

function insert(text: string, at: number, what: string): string {
  const place = at % (text.length + 1);
  return text.slice(0, place) + what + text.slice(place);
}

export const GATEWAY_CONFIG: FuzzTarget = {
  name: 'gateway-config',
  promise:
    'any YAML is a configuration with safe addresses and exact prices, or faults without a value in them',
  shortRuns: 500,
  async property() {
    const { parseGatewayConfig } = await import('../../../src/config/gateway-file/parse-gateway-config.js');
    return fc.property(texts(), (text) => {
      const { config, faults } = parseGatewayConfig(text, ENV, BUILT_INS);
      for (const fault of faults) {
        assert.match(fault, /^[\x20-\x7e’]*$/, 'a fault is one printable line');
        assert.ok(!fault.includes(SECRET), 'a fault shows no key');
      }
      expectCleanPrototypes();
      if (faults.length > 0) return;
      for (const { settings } of config.providers.values()) expectSafeAddress(settings.baseUrl);
      for (const model of config.models.values()) {
        assert.ok(model.targets ?? BUILT_INS.models.has(model.id), `${model.id} leads somewhere`);
        for (const pico of Object.values(model.price?.base ?? {})) assert.ok(BigInt(pico ?? 0) >= 0n);
      }
    });
  },
};

/** Judged on its own: by what the connection would be made to. */
function expectSafeAddress(address: string): void {
  const { protocol, hostname, username, password, search, hash } = new URL(address);
  assert.match(protocol, /^https?:$/);
  assert.equal(username + password + search + hash, '');
  assert.doesNotMatch(
    hostname,
    /^(169\.254\.|0\.0\.0\.0|\[::\]|\[fe[89ab]|\[::ffff:a9fe:|metadata)/,
    address,
  );
}
