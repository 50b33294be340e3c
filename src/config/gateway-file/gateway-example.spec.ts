import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PROVIDERS } from '../../providers/provider-strategies.js';
import { parseGatewayConfig } from './parse-gateway-config.js';

const text = readFileSync(new URL('../../../gateway.example.yaml', import.meta.url), 'utf8');
const env = { GROQ_API_KEY: 'groq-key', AZURE_OPENAI_API_KEY: 'azure-key' };
const builtIns = {
  providers: new Set<string>(PROVIDERS.map(({ name }) => name)),
  models: new Set(
    PROVIDERS.flatMap(({ models }) => models.flatMap(({ id, aliases }) => [id, ...(aliases ?? [])])),
  ),
};

/** One unknown key in every mapping that has a closed list of keys: each fault names the list. */
const ALL_WRONG = `
x: 1
providers: { p: { x: 1, options: { x: 1 } } }
models:
  m:
    x: 1
    capabilities: { x: 1 }
    cache: { x: 1 }
    price: { x: 1, tiers: [{ x: 1 }] }
    targets: [{ x: 1 }]
`;

describe('gateway.example.yaml', () => {
  it('has no fault', () => {
    expect(parseGatewayConfig(text, env, builtIns).faults).toEqual([]);
  });

  it('has every key there is', () => {
    const lists = parseGatewayConfig(ALL_WRONG, env, builtIns).faults.flatMap(
      (fault) => /is not a known key \(known: (.*)\)$/.exec(fault)?.[1] ?? [],
    );
    expect(lists).toHaveLength(8);
    const missing = lists
      .flatMap((list) => list.split(', '))
      .filter((key) => !new RegExp(`^[^#]*\\b${key}:`, 'm').test(text));
    expect(missing).toEqual([]);
  });
});
