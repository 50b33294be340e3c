import { describe, expect, it } from 'vitest';
import { parseGatewayConfig } from '../config/gateway-file/parse-gateway-config.js';
import type { ProviderDefinition } from '../providers/provider-definition.js';
import { buildCatalog } from './build-catalog.js';
import { PriceBook } from './price-book.js';

const capabilities = {
  tools: true,
  vision: false,
  documents: false,
  audioInput: false,
  jsonSchema: false,
  reasoning: false,
};
const card = (id: string, more: object = {}) => ({
  id,
  ownedBy: 'owner',
  created: 1_700_000_000,
  contextWindow: 8192,
  maxOutputTokens: 4096,
  capabilities,
  ...more,
});
const definition = (name: string, more: Partial<ProviderDefinition>): ProviderDefinition => ({
  name,
  priceBookId: name,
  models: [],
  settings: () => undefined,
  create: () => Promise.reject(new Error('not called')),
  ...more,
});
const providers = [
  definition('openai', { models: [card('gpt-4'), card('gpt-3.5-turbo'), card('gpt-unpriced')] }),
  definition('anthropic', {
    models: [
      card('claude-3-opus', { upstreamModel: 'claude-3-opus-20240229', aliases: ['claude-3'] }),
      card('claude-2.1', { aliases: ['claude-2'] }),
    ],
  }),
  definition('echo', {
    priceBookId: undefined,
    models: [card('echo')],
    closesSearchField: true,
    ownPrices: { echo: { input_mtok: 1, output_mtok: 2 } },
  }),
];
const builtIns = {
  providers: new Set(['openai', 'anthropic', 'echo']),
  models: new Set([
    'gpt-4',
    'gpt-3.5-turbo',
    'gpt-unpriced',
    'claude-3-opus',
    'claude-3',
    'claude-2.1',
    'claude-2',
    'echo',
  ]),
};
const priceBook = new PriceBook({ usdRate: '1', now: new Date('2026-11-23T00:00:00Z') });

const settingsOf = (name: string) => ({ baseUrl: `https://${name}.example/v1`, apiKey: undefined });

function build(yaml = '', configured = ['openai', 'anthropic', 'echo'], isBilled = true) {
  const { config: gatewayConfig, faults } = parseGatewayConfig(yaml, {}, builtIns);
  expect(faults).toEqual([]);
  return buildCatalog({
    providers,
    configured: new Map(
      [...configured, ...gatewayConfig.providers.keys()].map((name) => [name, settingsOf(name)]),
    ),
    gatewayConfig,
    priceBook,
    isBilled,
  });
}

const local = 'providers: { local: { type: openai-compatible, base_url: "http://127.0.0.1:1/v1" } }\n';
const cheap = 'price: { input_per_million: "0.10", output_per_million: "0.40" }';

function openAiWith(traits: Partial<ProviderDefinition>, yaml = '') {
  const { config: gatewayConfig } = parseGatewayConfig(yaml, {}, builtIns);
  const own = { ...providers[0]!, ...traits };
  const configured = new Map([['openai', settingsOf('openai')]]);
  return buildCatalog({ providers: [own], configured, gatewayConfig, priceBook, isBilled: true }).snapshot;
}

describe('buildCatalog', () => {
  it('serves priced models of configured providers, aliases beside them, sorted', () => {
    const { snapshot, faults, leftOut } = build();
    expect(snapshot.list().map(({ id, root }) => (id === root ? id : `${id} -> ${root}`))).toEqual([
      'claude-2 -> claude-2.1',
      'claude-2.1',
      'claude-3 -> claude-3-opus',
      'claude-3-opus',
      'echo',
      'gpt-3.5-turbo',
      'gpt-4',
    ]);
    expect(faults).toEqual([]);
    expect(leftOut).toEqual(['gpt-unpriced: has no complete price at openai']);
    expect(snapshot.find('gpt-unpriced')).toBeUndefined();
  });

  it('knows where a prompt’s searches are billed as one', () => {
    const snapshot = openAiWith(
      { billsSearchesOnce: (model) => model === 'gpt-4' },
      `models: { mine: { targets: [{ provider: openai, model: gpt-4 }], ${cheap} } }`,
    );
    const once = (id: string) => snapshot.find(id)?.targets[0]?.billsSearchesOnce ?? false;
    expect(['gpt-4', 'mine', 'gpt-3.5-turbo'].map(once)).toEqual([true, true, false]);
  });

  it('has the prices of tools that the vendor’s folder knows', () => {
    const snapshot = openAiWith({ toolPrices: (model) => ({ [model]: '0.014' }) });
    expect(snapshot.find('gpt-4')?.targets[0]?.price.toolCallPico).toEqual({ 'gpt-4': 14_000_000_000n });
  });

  it('asks what the vendor takes for its tools, beside a price of the file that says nothing of them', () => {
    const snapshot = openAiWith(
      {
        toolPrices: () => ({ web_search: '0.01', code_execution: '0.03' }),
        requestPrice: (model) => (model === 'always-searches' ? '0.025' : undefined),
      },
      `models:
  gpt-4: { ${cheap} }
  own: { targets: [{ provider: openai, model: own }], price: { input_per_million: '1', output_per_million: '2', tool_calls: { web_search: '0' } } }
  always-searches: { targets: [{ provider: openai, model: always-searches }], ${cheap} }
  dearer: { targets: [{ provider: openai, model: always-searches }], price: { input_per_million: '1', output_per_million: '2', per_request: '0.04' } }
  free: { targets: [{ provider: openai, model: always-searches }], price: { input_per_million: '1', output_per_million: '2', per_request: '0' } }
`,
    );
    const beside = (name: string) => {
      const { toolCallPico, requestPico } = snapshot.find(name)!.targets[0]!.price;
      return { ...toolCallPico, requestPico };
    };
    const tools = { web_search: 10_000_000_000n, code_execution: 30_000_000_000n };
    expect(beside('gpt-4')).toEqual({ ...tools, requestPico: 0n });
    expect(beside('own')).toEqual({ ...tools, web_search: 0n, requestPico: 0n });
    expect(beside('always-searches')).toEqual({ ...tools, requestPico: 25_000_000_000n });
    expect(beside('dearer')).toEqual({ ...tools, requestPico: 40_000_000_000n });
    expect(beside('free')).toEqual({ ...tools, requestPico: 0n });
  });

  it('adds a price without tokens to the one that holds without it', () => {
    const { snapshot, faults } = build(`${local}models:
  gpt-4: { price: { tool_calls: { web_search: '0.02' } } }
  echo: { price: { per_request: '0.5' } }
  mine:
    targets:
      - { provider: openai, model: gpt-3.5-turbo, price: { per_request: '0.25' } }
      - { provider: local, model: x, price: { tool_calls: { web_search: '0' } } }
      - { provider: local, model: y, price: { input_per_million: '7', output_per_million: '8' } }
    price: { input_per_million: '3', output_per_million: '4', per_request: '0.125', tool_calls: { maps: '1', web_search: '1' } }
  elsewhere: { targets: [{ provider: local, model: x, price: { per_request: '0' } }] }
  vendors: { targets: [{ provider: openai, model: gpt-4 }], price: { per_request: '0.0625' } }
`);
    expect(faults).toEqual([]);
    const prices = (id: string) =>
      snapshot.find(id)?.targets.map(({ price: { base, requestPico, toolCallPico } }) => ({
        input: Number(base.inputPico) / 1e6,
        request: Number(requestPico) / 1e12,
        ...Object.fromEntries(
          Object.entries(toolCallPico).map(([tool, pico]) => [tool, Number(pico) / 1e12]),
        ),
      }));
    expect(prices('gpt-4')).toEqual([{ input: 30, request: 0, web_search: 0.02 }]);
    expect(prices('echo')).toEqual([{ input: 1, request: 0.5 }]);
    expect(prices('mine')).toEqual([
      { input: 3, request: 0.25, maps: 1, web_search: 1 },
      { input: 3, request: 0.125, maps: 1, web_search: 0 },
      { input: 7, request: 0 },
    ]);
    expect(prices('elsewhere')).toEqual([{ input: 3, request: 0, maps: 1, web_search: 0 }]);
    expect(prices('vendors')).toEqual([{ input: 30, request: 0.0625 }]);
  });

  it('has no price where one without tokens has nothing beneath it', () => {
    expect(
      build(
        `${local}models: { a: { targets: [{ provider: local, model: x }], price: { per_request: '1' } } }`,
      ).faults,
    ).toEqual([
      'models.a.targets[0]: has no token price; give the target or the model `input_per_million` and `output_per_million` in its `price`',
    ]);
  });

  it('knows who closes the field for searches, and who passes it on', () => {
    const { snapshot } = build(`providers:
  local: { type: openai-compatible, base_url: "http://127.0.0.1:1/v1" }
  sonar: { type: openai-compatible, base_url: "http://127.0.0.1:1/v1", options: { allowed_params: [Web-Search-Options] } }
models:
  small: { targets: [{ provider: local, model: small }, { provider: sonar, model: sonar }], ${cheap} }
  "or/*": { targets: [{ provider: local, model: "*" }], ${cheap} }`);
    const searching = (id: string) => snapshot.find(id)?.targets.map(({ searchField }) => searchField);
    expect(searching('small')).toEqual(['closed', 'passed']);
    expect(searching('or/small')).toEqual(['closed']);
    expect(searching('echo')).toEqual(['closed']);
    expect(searching('gpt-4')).toEqual([undefined]);
  });

  describe('of OpenAI’s models that search for every request and do not tell', () => {
    const searching = (price: string) => `${local}models:
  search: { targets: [{ provider: openai, model: gpt-4o-search-preview }, { provider: openai, model: gpt-4 }], ${price} }
  alone: { targets: [{ provider: local, model: openai/gpt-5-search-api }], ${price} }
  own: { targets: [{ provider: local, model: my-gpt-x-search-api }], ${price} }
  "or/*": { targets: [{ provider: local, model: "*" }], ${price} }
aliases: { quick: or/openai/gpt-4o-search-preview }`;
    const leftOut = (built: ReturnType<typeof build>) =>
      built.leftOut.filter((line) => !line.startsWith('gpt-unpriced'));
    const upstream = ({ snapshot }: ReturnType<typeof build>, name: string) =>
      snapshot.find(name)?.targets.map(({ upstreamModel }) => upstreamModel);

    it('serves none without a price of the request', () => {
      const built = build(searching(cheap));
      expect(upstream(built, 'search')).toEqual(['gpt-4']);
      for (const name of ['alone', 'or/openai/gpt-4o-search-preview', 'quick'])
        expect(upstream(built, name)).toBeUndefined();
      expect(built.snapshot.list().map(({ id }) => id)).not.toContain('alone');
      expect(upstream(built, 'own')).toEqual(['my-gpt-x-search-api']);
      expect(upstream(built, 'or/x-search-api')).toEqual(['x-search-api']);
      expect(built.faults).toEqual([]);
      expect(leftOut(built)).toEqual([
        'search: gpt-4o-search-preview searches on every request, but has no price per_request',
        'alone: openai/gpt-5-search-api searches on every request, but has no price per_request',
        'alone: none of its targets can be served',
      ]);
    });

    it('serves them with a price of the request, be it 0, or where nothing is billed', () => {
      const [priced, free] = ['0.025', '0'].map((price) =>
        build(searching(cheap.replace('}', `, per_request: '${price}' }`))),
      ) as [ReturnType<typeof build>, ReturnType<typeof build>];
      for (const built of [priced, free, build(searching(cheap), undefined, false)]) {
        expect(upstream(built, 'search')).toEqual(['gpt-4o-search-preview', 'gpt-4']);
        expect(upstream(built, 'alone')).toEqual(['openai/gpt-5-search-api']);
        expect(upstream(built, 'quick')).toEqual(['openai/gpt-4o-search-preview']);
        expect(leftOut(built)).toEqual([]);
      }
      expect(priced.snapshot.find('search')?.targets.map(({ searchField }) => searchField)).toEqual([
        'passed',
        undefined,
      ]);
    });
  });

  it('serves nothing of a provider that is not configured, aliases included', () => {
    const { snapshot } = build(`models: { claude-3: { ${cheap} } }`, ['echo']);
    expect(snapshot.list().map(({ id }) => id)).toEqual(['echo']);
    expect(snapshot.find('claude-3')).toBeUndefined();
  });

  it('finds a model by id and by alias', () => {
    const { snapshot } = build();
    const opus = snapshot.find('claude-3-opus');
    expect(opus).toMatchObject({
      id: 'claude-3-opus',
      aliases: ['claude-3'],
      targets: [
        {
          provider: 'anthropic',
          upstreamModel: 'claude-3-opus-20240229',
          weight: 1,
          contextWindow: 8192,
          maxOutputTokens: 4096,
        },
      ],
    });
    expect(snapshot.find('claude-3')).toBe(opus);
    expect(opus?.targets[0]?.price.base.outputPico).toBe(75_000_000n);
    for (const name of ['', 'gpt', '__proto__', 'constructor', 'GPT-4'])
      expect(snapshot.find(name)).toBeUndefined();
  });

  it('takes the file’s model with its limits, capabilities, price and cache', () => {
    const { snapshot } = build(`${local}models:
  small: { targets: [{ provider: local, model: smol }], ${cheap}, context_window: 1000, max_output_tokens: 500, capabilities: { tools: false }, cache: { ttl_seconds: 30 }, owned_by: us }`);
    expect(snapshot.find('small')).toMatchObject({
      ownedBy: 'us',
      cache: { ttlMs: 30_000 },
      targets: [
        {
          provider: 'local',
          upstreamModel: 'smol',
          contextWindow: 1000,
          maxOutputTokens: 500,
          capabilities: { tools: false, vision: true },
          price: { base: { inputPico: 100_000n } },
        },
      ],
    });
  });

  it('replaces a built-in’s targets; a target without price takes the one it has elsewhere', () => {
    const { snapshot, faults } = build(`${local}models:
  small: { targets: [{ provider: local, model: smol }], ${cheap} }
  gpt-4: { targets: [{ provider: openai, model: gpt-4-0613 }, { provider: local, model: smol, weight: 0 }], fallbacks: [claude-3] }`);
    expect(faults).toEqual([]);
    const model = snapshot.find('gpt-4');
    expect(
      model?.targets.map(({ provider, weight, price }) => [provider, weight, price.base.inputPico]),
    ).toEqual([
      ['openai', 1, 30_000_000n],
      ['local', 0, 100_000n],
    ]);
    expect(model).toMatchObject({ fallbacks: ['claude-3'], ownedBy: 'owner', created: 1_700_000_000 });
    expect(model?.targets[0]?.contextWindow).toBe(8192);
  });

  it('asks the vendor, not another place in the file, what a target costs that has no price here', () => {
    const { snapshot } = build(`models:
  named: { targets: [{ provider: openai, model: gpt-4 }], price: { input_per_million: '1', output_per_million: '2', per_request: '3' } }
  plain: { targets: [{ provider: openai, model: gpt-4 }] }`);
    const prices = ['named', 'plain'].map((id) => {
      const { base, requestPico } = snapshot.find(id)!.targets[0]!.price;
      return [base.inputPico, requestPico];
    });
    expect(prices).toEqual([
      [1_000_000n, 3_000_000_000_000n],
      [30_000_000n, 0n],
    ]);
  });

  it('does not take a request for free because it is free where the same target has the same price of tokens', () => {
    const free = cheap.replace('}', ", per_request: '0' }");
    const snapshot = openAiWith(
      { requestPrice: () => '0.025' },
      `models:
  paid: { targets: [{ provider: openai, model: new-one }], ${cheap} }
  free: { targets: [{ provider: openai, model: new-one }], ${free} }`,
    );
    const prices = ['paid', 'free'].map((id) => snapshot.find(id)?.targets[0]?.price.requestPico);
    expect(prices).toEqual([25_000_000_000n, 0n]);
  });

  it('describes a target by its own model, else by the one it is named after, else by what is usual', () => {
    const own = {
      ...providers[0]!,
      models: [card('gpt-4', { contextWindow: 1 }), card('gpt-4o', { contextWindow: 2 })],
    };
    const { config: gatewayConfig } = parseGatewayConfig(
      `${local}models:
  gpt-4: { targets: [{ provider: openai, model: gpt-4o }, { provider: openai, model: x }], ${cheap} }
  mine: { targets: [{ provider: local, model: gpt-4 }], ${cheap} }`,
      {},
      builtIns,
    );
    const configured = new Map(['openai', 'local'].map((name) => [name, settingsOf(name)]));
    const { snapshot } = buildCatalog({
      providers: [own],
      configured,
      gatewayConfig,
      priceBook,
      isBilled: true,
    });
    expect(snapshot.find('gpt-4')?.targets.map(({ contextWindow }) => contextWindow)).toEqual([2, 1]);
    expect(snapshot.find('mine')).toMatchObject({ ownedBy: 'local', created: 1_735_689_600 });
    expect(snapshot.find('mine')?.targets[0]).toMatchObject({
      contextWindow: 32_768,
      maxOutputTokens: 8192,
      capabilities: {
        tools: true,
        vision: true,
        documents: false,
        audioInput: false,
        jsonSchema: true,
        reasoning: false,
      },
    });
  });

  it('knows the address behind every target, built in or of the file', () => {
    const { snapshot } = build(
      `${local}models: { m: { targets: [{ provider: local, model: m }], ${cheap} } }`,
    );
    const addressOf = (name: string) => snapshot.find(name)?.targets.map(({ baseUrl }) => baseUrl);
    expect(addressOf('m')).toEqual(['https://local.example/v1']);
    expect(addressOf('gpt-4')).toEqual(['https://openai.example/v1']);
  });

  it('drops only the targets whose provider is not configured', () => {
    const yaml = `${local}models: { gpt-4: { targets: [{ provider: openai, model: gpt-4 }, { provider: local, model: smol }], ${cheap} } }`;
    expect(
      build(yaml, [])
        .snapshot.find('gpt-4')
        ?.targets.map(({ provider }) => provider),
    ).toEqual(['local']);
    const alone = build('models: { gpt-4: { targets: [{ provider: openai, model: gpt-4 }] } }', []);
    expect(alone.snapshot.find('gpt-4')).toBeUndefined();
    expect(alone.leftOut).toEqual(['gpt-4: none of its targets can be served']);
  });

  it('changes price, limits and fallbacks of a built-in that keeps its targets', () => {
    const { snapshot } = build(
      `models: { gpt-4: { ${cheap}, fallbacks: [echo], max_output_tokens: 10 }, claude-3: { fallbacks: [gpt-4] } }`,
    );
    expect(snapshot.find('gpt-4')).toMatchObject({
      fallbacks: ['echo'],
      targets: [{ maxOutputTokens: 10, price: { base: { inputPico: 100_000n } } }],
    });
    expect(snapshot.find('claude-3')).toMatchObject({
      id: 'claude-3',
      fallbacks: ['gpt-4'],
      targets: [{ upstreamModel: 'claude-3-opus-20240229' }],
    });
    expect(snapshot.find('claude-3-opus')).toMatchObject({ fallbacks: [], aliases: [] });
  });

  it('names the targets of the file that have no price, or several', () => {
    expect(build(`${local}models: { a.b: { targets: [{ provider: local, model: x }] } }`).faults).toEqual([
      'models["a.b"].targets[0]: has no token price; give the target or the model `input_per_million` and `output_per_million` in its `price`',
    ]);
    const { faults } = build(`${local}models:
  one: { targets: [{ provider: local, model: x }], ${cheap} }
  two: { targets: [{ provider: local, model: x, price: { input_per_million: 9, output_per_million: 9 } }] }
  all: { targets: [{ provider: local, model: x }] }`);
    expect(faults).toEqual([
      'models.all.targets[0]: has several prices in this file; give the target or the model `input_per_million` and `output_per_million` in its `price`',
    ]);
    expect(
      build('models: { mine: { targets: [{ provider: openai, model: gpt-nobody-knows }] } }').faults,
    ).toEqual([expect.stringMatching(/^models\.mine\.targets\[0\]: is not in the price data; give/)]);
  });

  it('follows the file’s aliases, over built-in ones', () => {
    const { snapshot } = build(
      'aliases: { fast: faster, faster: gpt-3.5-turbo, claude-3: echo, gpt-4: claude-2 }',
    );
    expect(snapshot.find('fast')?.id).toBe('gpt-3.5-turbo');
    expect(snapshot.find('claude-3')?.id).toBe('echo');
    expect(snapshot.find('gpt-4')?.id).toBe('claude-2.1');
    expect(snapshot.list().filter(({ id }) => id === 'gpt-4')).toMatchObject([{ root: 'claude-2.1' }]);
  });

  it('leaves out an alias whose model is not served', () => {
    const { snapshot } = build('aliases: { fast: gpt-3.5-turbo }', ['echo']);
    expect(snapshot.find('fast')).toBeUndefined();
    expect(snapshot.list().map(({ id }) => id)).toEqual(['echo']);
  });

  it('makes models under a wildcard on the spot, the longest beginning first', () => {
    const { snapshot, priceVersions } = build(`${local}models:
  "or/*": { targets: [{ provider: local, model: "*" }], ${cheap} }
  "or/deep/*": { targets: [{ provider: local, model: "d-*" }], ${cheap} }
  or/own: { targets: [{ provider: local, model: mine }], ${cheap} }
aliases: { llama: or/meta/llama-3 }`);
    const upstream = (name: string) => snapshot.find(name)?.targets[0]?.upstreamModel;
    expect(upstream('or/meta/llama-3')).toBe('meta/llama-3');
    expect(upstream('or/deep/r1')).toBe('d-r1');
    expect(upstream('or/own')).toBe('mine');
    expect(upstream('llama')).toBe('meta/llama-3');
    expect(snapshot.find('or/meta/llama-3')).toMatchObject({
      id: 'or/meta/llama-3',
      root: 'or/meta/llama-3',
    });
    expect(
      snapshot
        .list()
        .map(({ id }) => id)
        .filter((id) => id.includes('*')),
    ).toEqual([]);
    expect(priceVersions.map(({ model }) => model)).toContain('*');
    for (const name of [
      'or/',
      'or/../x',
      'or/a//b',
      'or/a b',
      'or/a?b',
      'or/a%2f',
      `or/${'x'.repeat(300)}`,
      'or/a\nb',
    ]) {
      expect(snapshot.find(name)).toBeUndefined();
    }
  });

  it('gives every price a content address', () => {
    const { snapshot, priceVersions } = build();
    for (const model of snapshot.list()) {
      for (const target of model.targets)
        expect(priceVersions.map(({ id }) => id)).toContain(target.priceVersion);
    }
    const again = build();
    expect(again.priceVersions).toEqual(priceVersions);
    expect(new Set(priceVersions.map(({ provider, model }) => `${provider}/${model}`)).size).toBe(
      priceVersions.length,
    );
  });

  it('cannot be changed', () => {
    const model = build().snapshot.find('gpt-4');
    expect(Object.isFrozen(model)).toBe(true);
    expect(Object.isFrozen(model?.targets[0])).toBe(true);
    expect(Object.isFrozen(build().snapshot.list())).toBe(true);
  });
});
