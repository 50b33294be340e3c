import { calcPrice } from '@pydantic/genai-prices';
import { ProviderError, type ChatRequest, type ProviderCall, type ProviderStrategy } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { toWireRequest } from '../openai-compatible/openai-compatible.request.js';
import { OPENAI } from './index.js';
import { OPENAI_DIALECT } from './openai.dialect.js';
import { OPENAI_PRICES } from './openai.prices.js';
import { OpenAiStrategy } from './openai.strategy.js';
import { needsResponses } from './openai.wires.js';

function call(upstreamModel: string, request: Partial<ChatRequest> = {}): ProviderCall {
  return {
    request: { model: 'client-model', messages: [{ role: 'user', content: 'Hi' }], ...request },
    upstreamModel,
    clientModel: 'client-model',
    maxOutputTokens: undefined,
    requestId: 'req-1',
    signal: new AbortController().signal,
    dropUnsupported: false,
  };
}

const tools = [{ type: 'function', function: { name: 'f' } }];

describe('the models', () => {
  it.each(OPENAI.models.filter(({ id }) => !(id in OPENAI_PRICES)).map((card) => [card.id, card] as const))(
    '%s is priced, and fits into its window',
    (name, card) => {
      const usage = { input_tokens: 1_000_000, output_tokens: 1_000_000 };
      const price = calcPrice(usage, name, { providerId: 'openai' });
      expect(price?.total_price).toBeGreaterThan(0);
      expect(card.maxOutputTokens).toBeLessThanOrEqual(card.contextWindow);
      expect(card.created).toBeGreaterThan(1_670_000_000);
      const known = price?.model.context_window;
      // The book rounds the window of the 4.1 family and of 5.5, and takes that of GPT-5 for its chat variants.
      if (known && !/4\.1|5\.5|chat/.test(name)) expect(card.contextWindow).toBe(known);
    },
  );

  it('has the names that everybody uses', () => {
    const names = new Set(OPENAI.models.flatMap((card) => [card.id, ...(card.aliases ?? [])]));
    for (const name of [
      'gpt-4',
      'gpt-3.5-turbo',
      'gpt-4o',
      'gpt-4o-mini',
      'o3',
      'gpt-5',
      'gpt-5.6',
      'gpt-6-sol',
    ]) {
      expect(names).toContain(name);
    }
  });
});

describe('the settings', () => {
  it('are none without a key, and name their faults without values', () => {
    const faults: string[] = [];
    expect(OPENAI.settings({ OPENAI_BASE_URL: 'http://x/v1' }, faults)).toBeUndefined();
    expect(
      OPENAI.settings(
        { OPENAI_API_KEY: ' sk-1 ', OPENAI_BASE_URL: 'http://x/v1/', OPENAI_ORG_ID: 'org' },
        faults,
      ),
    ).toEqual({
      baseUrl: 'http://x/v1',
      apiKey: 'sk-1',
      options: { organization: 'org', project: undefined },
    });
    expect(OPENAI.settings({ OPENAI_API_KEY: 'k' }, faults)?.baseUrl).toBe('https://api.openai.com/v1');
    expect(faults).toEqual([]);
    OPENAI.settings({ OPENAI_API_KEY: 'sk-\n1', OPENAI_BASE_URL: 'ftp://secret' }, faults);
    expect(faults).toEqual([
      'OPENAI_BASE_URL: must be an http(s) URL without query or fragment',
      'OPENAI_API_KEY: must be printable ASCII without spaces',
    ]);
  });
});

it('is not sent what other vendors’ models said beside an answer', () => {
  const extra_content = { google: { thought_signature: 's' } };
  const tool = { id: 'call_1', type: 'function' as const, function: { name: 'f', arguments: '{}' } };
  const given = { ...tool, extra_content, provider_specific_fields: { thought_signature: 's' } };
  const turn = { role: 'assistant' as const, content: 'Ho' };
  const messages = [{ ...turn, extra_content, reasoning_content: 'Hm', tool_calls: [given, tool] }];
  const { messages: sent } = toWireRequest(call('gpt-4o', { messages }), OPENAI_DIALECT, false);
  expect(sent).toEqual([{ ...turn, tool_calls: [tool, tool] }]);
});

describe('the output limit', () => {
  it.each([
    [{ max_tokens: 5 }, 'gpt-4o', 'max_tokens'],
    [{ max_tokens: 5 }, 'o3-mini', 'max_completion_tokens'],
    [{ max_tokens: 5 }, 'gpt-5', 'max_completion_tokens'],
    [{ max_tokens: 5 }, 'ft:o4-mini-2025-04-16:acme::x', 'max_completion_tokens'],
    [{ max_completion_tokens: 5 }, 'gpt-4', 'max_completion_tokens'],
    [{}, 'gpt-4', 'max_completion_tokens'],
  ])('of %j for %s goes into %s', (asked, model, field) => {
    expect(OPENAI_DIALECT.outputLimitField({ model, messages: [], ...asked }, model)).toBe(field);
  });
});

describe('needsResponses', () => {
  it.each([
    ['gpt-4o', { tools }, false],
    ['gpt-5', { tools, reasoning_effort: 'high' }, false],
    ['gpt-5-chat-latest', {}, false],
    ['gpt-5.4', { tools }, false],
    ['gpt-5.4', { tools, reasoning_effort: 'low' }, true],
    ['gpt-5.4', { reasoning_effort: 'low' }, false],
    ['gpt-5.6-terra', { tools }, true],
    ['gpt-5.6-terra', { tools, reasoning_effort: 'none' }, false],
    ['gpt-5.6-terra', {}, false],
    ['gpt-6-sol', { tools }, true],
    ['gpt-6.1-sol', { tools }, true],
    ['o1-pro', {}, true],
    ['o3-pro', {}, true],
    ['gpt-5-pro', {}, true],
    ['gpt-5.5-pro', {}, true],
    ['gpt-5-codex', {}, true],
    ['gpt-5.3-codex', {}, true],
    ['codex-mini-latest', {}, true],
    ['gpt-5.12-pro', {}, true],
    ['gpt-5.12-codex', {}, true],
    ['gpt-10', { tools }, true],
    ['gpt-10.1-sol', { tools }, true],
    ['my-gpt-5-pro', {}, false],
  ])('%s with %j: %s', (model, request, expected) => {
    expect(needsResponses(call(model, request))).toBe(expected);
  });
});

describe('OpenAiStrategy', () => {
  function wire(name: string, refusal?: string): ProviderStrategy & { calls: number } {
    const self = {
      providerName: name,
      cancelStopsBilling: true,
      calls: 0,
      complete: () => {
        self.calls += 1;
        if (refusal === undefined)
          return Promise.resolve({ completion: { id: name } as never, usage: undefined, droppedParams: [] });
        const flags = {
          processed: 'no',
          countsAsFailure: false,
          tryElsewhere: true,
          upstreamStatus: 404,
        } as const;
        return Promise.reject(new ProviderError('model_not_found', refusal, flags));
      },
      stream: () => Promise.reject(new Error('not called')),
    };
    return self;
  }

  it('learns from OpenAI which requests the Responses API serves', async () => {
    const chat = wire('chat', 'This model is only supported in v1/responses and not in v1/chat/completions.');
    const responses = wire('responses');
    const strategy = new OpenAiStrategy(chat, responses);
    for (let round = 0; round < 2; round += 1) {
      expect((await strategy.complete(call('o9-nova'))).completion.id).toBe('responses');
    }
    expect([chat.calls, responses.calls]).toEqual([1, 2]);
    await strategy.complete(call('o9-nova', { tools }));
    expect(chat.calls).toBe(2);
  });

  it('hands other refusals on', async () => {
    const responses = wire('responses');
    const strategy = new OpenAiStrategy(wire('chat', 'The model does not exist'), responses);
    await expect(strategy.complete(call('gpt-4o'))).rejects.toThrow('does not exist');
    await expect(strategy.stream(call('gpt-4o'))).rejects.toThrow('not called');
    expect(responses.calls).toBe(0);
  });
});

describe('what OpenAI charges otherwise than the gateway does', () => {
  const unpriced: readonly [param: string, request: Partial<ChatRequest>][] = [
    ['service_tier', { service_tier: 'priority' }],
    ['service_tier', { service_tier: 'flex' }],
    ['prediction', { prediction: { type: 'content', content: 'x' } }],
    ['models', { models: ['of what stands behind OPENAI_BASE_URL'] }],
  ];
  function recorder(): ProviderStrategy & { seen: ProviderCall[] } {
    const seen: ProviderCall[] = [];
    const answer = { completion: {} as never, usage: undefined, droppedParams: ['seed'] };
    return {
      providerName: 'openai',
      cancelStopsBilling: true,
      seen,
      complete: (sent) => {
        seen.push(sent);
        return Promise.resolve(answer);
      },
      stream: () => Promise.reject(new Error('not called')),
    };
  }

  it.each(unpriced)('is refused: %s in %j', async (param, request) => {
    const wire = recorder();
    const strategy = new OpenAiStrategy(wire, wire);
    const refusal = { code: 'unsupported_parameter', param };
    await expect(strategy.complete(call('gpt-5', request))).rejects.toMatchObject(refusal);
    await expect(strategy.stream(call('gpt-5', request))).rejects.toMatchObject(refusal);
    expect(wire.seen).toEqual([]);
  });

  it.each(['gpt-5', 'o3-pro', 'codex-mini-latest', 'gpt-5.3-codex'])(
    'is not a search: it has a price, at %s, too',
    async (model) => {
      const wire = recorder();
      await new OpenAiStrategy(wire, wire).complete(call(model, { web_search_options: {} }));
      expect(wire.seen[0]!.request).toHaveProperty('web_search_options');
    },
  );

  it.each(unpriced)('is left out and named where that is allowed: %s in %j', async (param, request) => {
    const wire = recorder();
    const given = { ...call('gpt-5', request), dropUnsupported: true };
    const { droppedParams } = await new OpenAiStrategy(wire, wire).complete(given);
    expect(droppedParams).toEqual([param, 'seed']);
    expect(wire.seen[0]!.request).not.toHaveProperty(param);
  });

  it('is nothing else', async () => {
    const wire = recorder();
    const strategy = new OpenAiStrategy(wire, wire);
    const local = { type: 'shell', environment: { type: 'local' } };
    for (const request of [
      { service_tier: 'auto', tools: [...tools, { type: 'web_search' }] },
      { service_tier: 'default', tools: [local, { type: 'mcp' }, { type: 'file_search' }] },
      { service_tier: null, tools: null },
    ]) {
      const given = call('gpt-5', request);
      await strategy.complete(given);
      expect(wire.seen.at(-1)).toBe(given);
    }
  });
});
