import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseGatewayConfig, readGatewayConfig } from './parse-gateway-config.js';

const builtIns = {
  providers: new Set(['openai', 'anthropic', 'echo']),
  models: new Set(['gpt-4', 'gpt-3.5-turbo', 'claude-3', 'echo']),
};
const env = { LOCAL_API_KEY: 'sk-very-secret', BROKEN_API_KEY: 'sk-\nsecret', EMPTY: '' };
const parse = (text: string) => parseGatewayConfig(text, env, builtIns);
const faultsOf = (text: string) => parse(text).faults;

const example = `
providers:
  local:                                  # any OpenAI-compatible server
    type: openai-compatible
    base_url: http://127.0.0.1:8080/v1/
    api_key_env: LOCAL_API_KEY
models:
  small:
    targets: [{ provider: local, model: smollm2-135m, weight: 1 }]
    price: { input_per_million: "0.10", output_per_million: "0.40", cached_input_per_million: "0.05" }
    context_window: 8192
    max_output_tokens: 2048
  gpt-4:
    targets: [{ provider: openai, model: gpt-4-0613 }, { provider: local, model: smollm2-135m, weight: 0 }]
    fallbacks: [claude-3]
aliases: { fast: gpt-3.5-turbo }
`;

/** `small`, with one thing changed. */
const small = (fields: string) => `
providers: { local: { type: openai-compatible, base_url: "http://127.0.0.1:8080/v1" } }
models:
  small:
    targets: [{ provider: local, model: m }]
    price: { input_per_million: "1", output_per_million: "2" }
${fields}`;
const provider = (fields: string) => `providers: { local: { type: openai-compatible, ${fields} } }`;
const price = (fields: string) => `
providers: { local: { type: openai-compatible, base_url: "http://h/v1" } }
models: { small: { targets: [{ provider: local, model: m }], price: { ${fields} } } }`;

describe('parseGatewayConfig', () => {
  it('reads the example of the contract', () => {
    const { config, faults } = parse(example);
    expect(faults).toEqual([]);
    expect(config.providers.get('local')?.settings).toEqual({
      baseUrl: 'http://127.0.0.1:8080/v1',
      apiKey: 'sk-very-secret',
      headers: {},
      options: {},
    });
    expect(config.models.get('small')).toMatchObject({
      targets: [{ provider: 'local', upstreamModel: 'smollm2-135m', weight: 1 }],
      price: {
        base: { inputPico: 100_000n, outputPico: 400_000n, cacheReadPico: 50_000n },
        tiers: [],
        requestPico: undefined,
      },
      contextWindow: 8192,
      maxOutputTokens: 2048,
    });
    expect(config.models.get('gpt-4')).toMatchObject({
      targets: [
        { provider: 'openai', upstreamModel: 'gpt-4-0613', weight: 1 },
        { provider: 'local', weight: 0 },
      ],
      fallbacks: ['claude-3'],
      price: undefined,
    });
    expect([...config.aliases]).toEqual([['fast', 'gpt-3.5-turbo']]);
  });

  it.each(['', '# nothing\n', '---\n', 'providers:\n  # none\n'.replace('providers:\n', '')])(
    'takes %j for an empty configuration',
    (text) => {
      const { config, faults } = parse(text);
      expect(faults).toEqual([]);
      expect(config.models.size + config.providers.size + config.aliases.size).toBe(0);
    },
  );

  it('keeps names that YAML 1.1 would turn into something else', () => {
    const { config, faults } = parse(small('').replaceAll('small', 'no').replace('model: m', 'model: 1.0'));
    expect(faults).toEqual([]);
    expect(config.models.get('no')?.targets?.[0]?.upstreamModel).toBe('1.0');
  });

  it('takes prices as the exact decimals they are written as, quoted or not', () => {
    const { config, faults } = parse(
      price('input_per_million: 0.1, output_per_million: "0.300001", per_request: "0.000000000001"'),
    );
    expect(faults).toEqual([]);
    expect(config.models.get('small')?.price).toMatchObject({
      base: { inputPico: 100_000n, outputPico: 300_001n },
      requestPico: 1n,
    });
  });

  it('reads tiers on top of the base prices', () => {
    const { config, faults } = parse(
      price(
        'input_per_million: "1", output_per_million: "2", cached_input_per_million: "0.5", tiers: [{ above_input_tokens: 200000, input_per_million: "3" }]',
      ),
    );
    expect(faults).toEqual([]);
    expect(config.models.get('small')?.price?.tiers).toEqual([
      {
        aboveInputTokens: 200_000,
        prices: { inputPico: 3_000_000n, outputPico: 2_000_000n, cacheReadPico: 500_000n },
      },
    ]);
  });

  it('reads a price that names no tokens', () => {
    const { config, faults } = parse(
      'models: { gpt-4: { price: { per_request: "0", tool_calls: { web_search: "0.01" } } } }',
    );
    expect(faults).toEqual([]);
    expect(config.models.get('gpt-4')?.price).toEqual({
      base: undefined,
      tiers: [],
      requestPico: 0n,
      toolCallPico: { web_search: 10_000_000_000n },
    });
  });

  it('reads how a server differs from others of its dialect', () => {
    const { config, faults } = parse(
      provider(
        'base_url: "https://h/v1", options: { query: { api-version: 2024-10-21 }, output_limit_field: max_completion_tokens, stream_usage: false, cancel_stops_billing: true, takes_reasoning_content: true, allowed_params: [provider, prediction] }',
      ),
    );
    expect(faults).toEqual([]);
    expect(config.providers.get('local')?.settings.options).toEqual({
      query: { 'api-version': '2024-10-21' },
      outputLimitField: 'max_completion_tokens',
      streamUsage: false,
      cancelStopsBilling: true,
      takesReasoningContent: true,
      allowedParams: ['provider', 'prediction'],
    });
    expect(
      faultsOf(
        provider(
          'base_url: "https://h/v1", options: { stream_usage: maybe, output_limit_field: n, other: 1 }',
        ),
      ),
    ).toHaveLength(3);
    for (const [params, fault] of [
      ['models', 'options.allowed_params: must be a list'],
      ['[provider, temperature]', 'options.allowed_params[1]: names a field that every provider gets'],
      ['[{}]', 'options.allowed_params[0]: must be the name of a field'],
    ])
      expect(faultsOf(provider(`base_url: "https://h/v1", options: { allowed_params: ${params} }`))).toEqual([
        expect.stringContaining(fault ?? ''),
      ]);
  });

  it('puts a key into a header of its own when asked to', () => {
    const { config, faults } = parse(
      provider(
        'base_url: "https://x.openai.azure.com/openai/v1", api_key_env: LOCAL_API_KEY, api_key_header: api-key, headers: { X-Team: blue }, timeout_seconds: 2.5',
      ),
    );
    expect(faults).toEqual([]);
    expect(config.providers.get('local')).toMatchObject({
      timeoutMs: 2500,
      settings: { apiKey: undefined, headers: { 'api-key': 'sk-very-secret', 'x-team': 'blue' } },
    });
  });

  it.each([
    ['an unknown key', 'modells: {}', 'modells: is not a known key; did you mean models? (known: '],
    ['an unknown key of a model', small('    weigth: 3'), 'models.small.weigth: is not a known key'],
    [
      'an unknown key of a target',
      small('').replace('model: m', 'model: m, wait: 1'),
      'models.small.targets[0].wait: is not a known key',
    ],
    ['a list at the top', '- a', 'GATEWAY_CONFIG: must be a mapping'],
    ['a text at the top', 'hello', 'GATEWAY_CONFIG: must be a mapping'],
    ['broken YAML', 'models: [', 'GATEWAY_CONFIG: line 1, column 10: '],
    ['a duplicate key', 'models: {}\nmodels: {}', 'GATEWAY_CONFIG: line 2, column 1: duplicate key'],
    ['two documents', 'models: {}\n---\nmodels: {}', 'GATEWAY_CONFIG: line 2, column 1: multiple docs'],
    ['a tag', 'models: !!js/function "x"', 'GATEWAY_CONFIG: line 1, column 9: tag resolve failed'],
    ['models that are a list', 'models: []', 'models: must be a mapping'],
    ['models without any', 'models:', 'models: must be a mapping ({} is an empty one)'],
    [
      'a tab',
      'aliases:\n\tfast: gpt-4',
      'GATEWAY_CONFIG: line 2, column 1: tab as indent (indent with spaces)',
    ],
    [
      'a star without quotes',
      'aliases: { fast: * }',
      'GATEWAY_CONFIG: line 1, column 18: bad alias (quote values that begin with *)',
    ],
    ['a key that is no text', 'models: { [a]: {} }', 'models: has a key that is not text'],
    [
      'a dangling provider',
      small('').replace('provider: local', 'provider: loca'),
      'models.small.targets[0].provider: no such provider',
    ],
    [
      'a model without targets',
      'models: { mine: { context_window: 5 } }',
      'models.mine.targets: is required',
    ],
    [
      'no target',
      small('').replace('[{ provider: local, model: m }]', '[]'),
      'models.small.targets: must have 1 to 50 entries',
    ],
    [
      'a target twice',
      small('').replace('}]', '}, { provider: local, model: m }]'),
      'models.small.targets[1]: is the same target',
    ],
    [
      'no weighted target',
      small('').replace('model: m', 'model: m, weight: 0'),
      'models.small.targets: needs a target',
    ],
    [
      'a fraction of a weight',
      small('').replace('model: m', 'model: m, weight: 0.5'),
      'models.small.targets[0].weight: must be a whole number',
    ],
    ['a dangling fallback', small('    fallbacks: [gpt-9]'), 'models.small.fallbacks[0]: no such model'],
    [
      'a fallback to itself',
      small('    fallbacks: [small]'),
      'models.small.fallbacks[0]: is the model itself',
    ],
    ['a fallback twice', small('    fallbacks: [gpt-4, gpt-4]'), 'models.small.fallbacks[1]: is named twice'],
    ['a dangling alias', 'aliases: { fast: gpt-9 }', 'aliases.fast: no such model'],
    ['an alias to itself', 'aliases: { fast: fast }', 'aliases.fast: leads back to itself'],
    [
      'an alias with a model’s name',
      small('').concat('aliases: { small: gpt-4 }'),
      'aliases.small: is the name of a model',
    ],
    [
      'limits that contradict',
      small('    context_window: 10\n    max_output_tokens: 11'),
      'models.small.max_output_tokens: must not be larger',
    ],
    [
      'a price without output',
      price('input_per_million: "1"'),
      'models.small.price.output_per_million: is required',
    ],
    [
      'a negative price',
      price('input_per_million: "-1", output_per_million: "1"'),
      'models.small.price.input_per_million: must be a decimal',
    ],
    [
      'an exponent',
      price('input_per_million: 1e-3, output_per_million: "1"'),
      'models.small.price.input_per_million: must be a decimal',
    ],
    [
      'too fine a price',
      price('input_per_million: "0.0000001", output_per_million: "1"'),
      'models.small.price.input_per_million: must be a decimal',
    ],
    [
      'the price of one token with too many digits',
      price('input_per_million: "0.00000015", output_per_million: "1"'),
      'models.small.price.input_per_million: must be a decimal such as "0.15", not negative, with at most 6 fraction digits: what a million tokens cost',
    ],
    [
      'the price of one token',
      price('input_per_million: "1", output_per_million: "0.000015"'),
      'models.small.price.output_per_million: must be the price of a million tokens',
    ],
    [
      'a tool by OpenAI’s name',
      price('input_per_million: "0", output_per_million: "0.0001", tool_calls: { code_interpreter: "1" }'),
      'models.small.price.tool_calls.code_interpreter: is called code_execution here',
    ],
    [
      'a price that is a list',
      price('input_per_million: [1], output_per_million: "1"'),
      'models.small.price.input_per_million: must be a decimal',
    ],
    [
      'tiers out of order',
      price(
        'input_per_million: 1, output_per_million: 1, tiers: [{ above_input_tokens: 5 }, { above_input_tokens: 5 }]',
      ),
      'models.small.price.tiers[1].above_input_tokens: must be larger',
    ],
    ['a provider without address', provider(''), 'providers.local.base_url: is required'],
    [
      'another type',
      'providers: { local: { type: anthropic, base_url: "http://h" } }',
      'providers.local.type: must be openai-compatible',
    ],
    [
      'a built-in’s name',
      'providers: { openai: { type: openai-compatible, base_url: "http://h" } }',
      'providers.openai: is the name of a built-in provider',
    ],
    [
      'a missing variable',
      provider('base_url: "http://h", api_key_env: NOPE_API_KEY'),
      'providers.local.api_key_env: names a variable that is not set (NOPE_API_KEY)',
    ],
    [
      'a key that could be a name',
      provider('base_url: "http://h", api_key_env: gsk_verysecretvalue'),
      'providers.local.api_key_env: names a variable that is not set',
    ],
    [
      'an empty variable',
      provider('base_url: "http://h", api_key_env: EMPTY'),
      'providers.local.api_key_env: names a variable that is not set',
    ],
    [
      'a key that is no header',
      provider('base_url: "http://h", api_key_env: BROKEN_API_KEY'),
      'providers.local.api_key_env: names a variable whose value cannot be used in a header (BROKEN_API_KEY)',
    ],
    [
      'a key instead of its name',
      provider('base_url: "http://h", api_key_env: sk-abc-123'),
      'providers.local.api_key_env: must be the name of an environment variable',
    ],
    [
      'a reserved header',
      provider('base_url: "http://h", headers: { Authorization: x }'),
      'providers.local.headers.Authorization: is set by the gateway',
    ],
    [
      'an address that goes too far',
      provider('base_url: "http://h/v1/chat/completions/"'),
      'providers.local.base_url: must end before /chat/completions',
    ],
    [
      'a header of two lines',
      provider('base_url: "http://h", headers: { x-a: "a\\r\\nb: c" }'),
      'providers.local.headers.x-a: must be one line',
    ],
    [
      'a wildcard without price',
      small('')
        .replace('small:', '"or/*":')
        .replace('model: m', 'model: "*"')
        .replace(/ {4}price.*\n/, ''),
      'models["or/*"].price: is required for a wildcard',
    ],
    [
      'a wildcard without a price of tokens',
      small('')
        .replace('small:', '"or/*":')
        .replace('model: m', 'model: "*"')
        .replace(/ {4}price.*\n/, '    price: { per_request: "1" }\n'),
      'models["or/*"].price: is required for a wildcard',
    ],
    [
      'a part of the input’s price without the whole',
      'models: { gpt-4: { price: { cached_input_per_million: "1", input_per_million: "2" } } }',
      'models.gpt-4.price.output_per_million: is required',
    ],
    [
      'a wildcard over a fixed target',
      small('').replace('small:', '"or/*":'),
      'models["or/*"].targets[0].model: must be',
    ],
    ['a star in the middle', small('').replace('small:', '"o*r":'), 'models["o*r"]: must consist'],
    ['everything as a wildcard', small('').replace('small:', '"*":'), 'models["*"]: must consist'],
    [
      'a cache without lifetime',
      small('    cache: {}'),
      'models.small.cache.ttl_seconds: must be a number of seconds',
    ],
  ])('names the place of %s', (_what, text, fault) => {
    const faults = faultsOf(text);
    expect(
      faults.filter((line) => line.startsWith(fault)),
      faults.join('\n'),
    ).toHaveLength(1);
    expect(faults, faults.join('\n')).toHaveLength(1);
  });

  it('shows an alias loop from each of its names', () => {
    expect(faultsOf('aliases: { a: b, b: c, c: a, d: a }')).toEqual([
      'aliases.a: leads back to itself (a -> b -> c -> a)',
      'aliases.b: leads back to itself (b -> c -> a -> b)',
      'aliases.c: leads back to itself (c -> a -> b -> c)',
      'aliases.d: leads back to itself (d -> a -> b -> c -> a)',
    ]);
  });

  it.each(['', 'cached_input_per_million: "1"', 'tiers: [{ above_input_tokens: 5 }], per_request: "1"'])(
    'wants input and output in a price of {%s}',
    (fields) => {
      expect(faultsOf(`models: { gpt-4: { price: { ${fields} } } }`)).toEqual([
        expect.stringMatching(/^models\.gpt-4\.price\.input_per_million: is required/),
        expect.stringMatching(/^models\.gpt-4\.price\.output_per_million: is required/),
      ]);
    },
  );

  it('finds all faults of a file', () => {
    const text = `
providers: { a: { type: x, base_url: ftp://h }, openai: { type: openai-compatible, base_url: "http://h" } }
models: { m: { targets: [{ provider: zz, model: q }], price: { input_per_million: x }, surplus: 1 } }
aliases: { q: r }
`;
    expect(faultsOf(text).map((line) => line.split(': ')[0])).toEqual([
      'providers.a.type',
      'providers.a.base_url',
      'providers.openai',
      'models.m.surplus',
      'models.m.price.input_per_million',
      'models.m.price.output_per_million',
      'models.m.targets[0].provider',
      'aliases.q',
    ]);
  });

  it.each([
    'http://169.254.169.254/latest',
    'http://2852039166/',
    'http://0xa9fea9fe/',
    'http://0251.0376.0251.0376/',
    'http://169.254.43518/',
    'http://[::ffff:169.254.169.254]/',
    'http://[::ffff:a9fe:a9fe]/',
    'http://[64:ff9b::a9fe:a9fe]/',
    'http://[2002:a9fe:a9fe::]/',
    'http://[fe80::1]/',
    'http://[fd00:ec2::254]/',
    'http://169.254.169.254./',
    'http://0.0.0.0/',
    'http://0/',
    'http://[::]/',
    'http://metadata.google.internal/',
    'http://METADATA.google.internal./',
    'http://100.100.100.200/',
    'http://169.254.170.2/',
    'http://１６９.254.169.254/',
    'http://[::ffff:0:0]/',
  ])('refuses the metadata address %s', (address) => {
    expect(faultsOf(provider(`base_url: "${address}"`))).toEqual([
      'providers.local.base_url: must not be a metadata or unspecified address',
    ]);
  });

  it.each([
    'http://user:pw@host/v1',
    'https://host/v1?key=abc',
    'https://host/#x',
    'ftp://host',
    '//host',
    'host:80',
    'http://',
    'javascript:alert(1)',
  ])('refuses the address %s', (address) =>
    expect(faultsOf(provider(`base_url: "${address}"`))).toHaveLength(1),
  );

  it.each([
    'http://localhost:11434/v1',
    'http://10.0.0.5/v1',
    'https://api.groq.com/openai/v1',
    'http://[::1]:8080/v1',
    'http://vllm:8000/v1',
  ])('accepts the address %s', (address) => expect(faultsOf(provider(`base_url: "${address}"`))).toEqual([]));

  it('never quotes a value', () => {
    const secret = 'sk-verysecretvalue';
    const texts = [
      `providers: { a: { type: ${secret}, base_url: ${secret}, api_key_env: ${secret}, timeout_seconds: ${secret} } }`,
      'providers: { a: { type: openai-compatible, base_url: "http://h", api_key_env: sk_verysecretvalue } }',
      'providers: { a: { type: openai-compatible, base_url: "http://h", api_key_env: AKIAVERYSECRETVALUE } }',
      `models: { m: { targets: [{ provider: ${secret}, model: "${secret} x", weight: ${secret} }], fallbacks: [${secret}] } }`,
      `models: "${secret}\n  [`,
      `a: &a ${secret}\nb: *c${secret}`,
    ];
    for (const text of texts) {
      expect(faultsOf(text).join('\n')).not.toContain(secret);
      expect(faultsOf(text).join('\n')).not.toMatch(/verysecretvalue/i);
    }
  });

  it('stops alias bombs and deep nesting', () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      ...'bcdefghi'
        .split('')
        .map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[at]}`).join(',')}]`),
    ];
    expect(faultsOf(bomb.join('\n'))).toContain(
      'GATEWAY_CONFIG: is nested too deeply or repeats too many aliases',
    );
    expect(faultsOf(`models: ${'['.repeat(200_000)}`)).not.toEqual([]);
    expect(faultsOf(`${'{a: '.repeat(50_000)}1${'}'.repeat(50_000)}`)).not.toEqual([]);
  });

  it('does not let a file reach a prototype', () => {
    expect(faultsOf('models: { __proto__: { targets: 1 } }')).not.toEqual([]);
    expect(faultsOf('__proto__: { polluted: yes }')).toEqual([
      '__proto__: is not a known key (known: providers, models, aliases)',
    ]);
    expect({}).not.toHaveProperty('polluted');
  });

  it('reads files up to a bound, and says why it cannot', () => {
    const folder = mkdtempSync(join(tmpdir(), 'gateway-config-'));
    try {
      const path = join(folder, 'gateway.yaml');
      expect(readGatewayConfig(path, env, builtIns).faults).toEqual([
        'GATEWAY_CONFIG: the file cannot be read (ENOENT)',
      ]);
      expect(readGatewayConfig(folder, env, builtIns).faults).toEqual([
        'GATEWAY_CONFIG: the file cannot be read (EISDIR)',
      ]);
      writeFileSync(path, example);
      expect(readGatewayConfig(path, env, builtIns).faults).toEqual([]);
      for (const bytes of [Buffer.from([0x61, 0xff, 0xfe]), Buffer.from('aliases: {}', 'utf16le')]) {
        writeFileSync(path, bytes);
        expect(readGatewayConfig(path, env, builtIns).faults).toEqual([
          'GATEWAY_CONFIG: the file cannot be read (not UTF-8)',
        ]);
      }
      writeFileSync(path, '\ufeffaliases:\r\n  fast: gpt-4\r\n');
      expect(readGatewayConfig(path, env, builtIns)).toMatchObject({
        faults: [],
        config: { aliases: new Map([['fast', 'gpt-4']]) },
      });
      writeFileSync(path, '#'.repeat(1024 * 1024 + 1));
      expect(readGatewayConfig(path, env, builtIns).faults).toEqual([
        'GATEWAY_CONFIG: is larger than 1048576 bytes',
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.runIf(process.platform !== 'win32')(
    'does not wait for a pipe: a reload would hold up every request',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'gateway-config-'));
      try {
        const path = join(folder, 'pipe.yaml');
        execFileSync('mkfifo', [path]);
        expect(readGatewayConfig(path, env, builtIns).faults).toEqual([
          'GATEWAY_CONFIG: is a pipe; it must be a file, which can be read again',
        ]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  it('never throws, whatever the text', () => {
    const words = [
      'providers',
      'models',
      'aliases',
      'targets',
      'price',
      'small',
      'local',
      'type',
      'base_url',
      'openai-compatible',
      'fallbacks',
      '__proto__',
      '"*"',
      '&a',
      '*a',
      '<<',
      '!!x',
      '-',
      ':',
      '{',
      '}',
      '[',
      ']',
      ',',
      '\n',
      '\n  ',
      '"',
      "'",
      '|',
      '>',
      '#',
      '?',
      '1',
      '~',
      '\t',
    ];
    const soup = fc
      .array(fc.oneof(fc.constantFrom(...words), fc.string()), { maxLength: 60 })
      .map((parts) => parts.join(' '));
    const mutated = fc
      .tuple(fc.nat(example.length), fc.nat(20), fc.string())
      .map(([at, cut, text]) => example.slice(0, at) + text + example.slice(at + cut));
    fc.assert(
      fc.property(fc.oneof(soup, mutated), (text) => {
        const { faults, config } = parse(text);
        for (const fault of faults) expect(fault).not.toMatch(/[\r\n]|sk-very-secret/);
        if (faults.length === 0)
          for (const model of config.models.values())
            expect(model.targets ?? builtIns.models.has(model.id)).toBeTruthy();
      }),
      { numRuns: 2000 },
    );
  });
});
