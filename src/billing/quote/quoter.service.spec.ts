import type { ChatMessage, ChatRequest } from '@app/contracts';
import { type PriceCard, priceVersionOf } from '@app/money';
import { describe, expect, it } from 'vitest';
import type { PlannedTarget, RoutePlan } from '../../routing/route-plan.js';
import { PriceVersions } from '../prices/price-versions.service.js';
import { QuoterService } from './quoter.service.js';
import { quoteCost } from '../session/quote-cost.js';

const CARD: PriceCard = {
  base: { inputPico: 1_000_000n, outputPico: 2_000_000n },
  tiers: [],
  requestPico: 0n,
  toolCallPico: { web_search: 10_000_000_000n },
};

function target(changes: Partial<PlannedTarget> = {}): PlannedTarget {
  const price = changes.price ?? CARD;
  return {
    provider: 'openai',
    upstreamModel: 'gpt-4o',
    weight: 1,
    contextWindow: 128_000,
    maxOutputTokens: 4096,
    capabilities: {
      tools: true,
      vision: true,
      documents: true,
      audioInput: true,
      jsonSchema: true,
      reasoning: false,
    },
    price,
    priceVersion: priceVersionOf(price),
    modelId: 'gpt-4o',
    reason: 'weight',
    ...changes,
  };
}

function plan(...targets: PlannedTarget[]): RoutePlan {
  const [first = target()] = targets;
  const model = {
    id: first.modelId,
    root: first.modelId,
    ownedBy: 'o',
    created: 0,
    targets,
    fallbacks: [],
    cache: undefined,
    aliases: [],
  };
  return { model, targets: targets.length > 0 ? targets : [first] };
}

const request = (messages: ChatMessage[], rest: Partial<ChatRequest> = {}): ChatRequest => ({
  model: 'gpt-4o',
  messages,
  ...rest,
});
const LONG = { type: 'ephemeral', ttl: '1h' };
const user = (content: ChatMessage['content']): ChatMessage => ({ role: 'user', content });
const config = { billing: { enabled: true, currency: 'USD' } } as never;
const quoter = () => new QuoterService(new PriceVersions({} as never, config), config);

describe('the bound of the input', () => {
  const bound = (messages: ChatMessage[], rest: Partial<ChatRequest> = {}) =>
    quoter().quote(plan(target()), request(messages, rest), false).inputTokensBound;

  it('is at least the bytes of every text that goes in', () => {
    const plain = bound([user('')]);
    expect(bound([user('häh')]) - plain).toBe(4);
    expect(bound([user([{ type: 'text', text: '日本' }])]) - plain).toBe(6);
    expect(bound([{ role: 'assistant', content: '', reasoning_content: 'x'.repeat(50) }]) - plain).toBe(50);
    const call = { id: 'c', type: 'function' as const, function: { name: 'f', arguments: 'x'.repeat(70) } };
    expect(bound([{ role: 'assistant', content: '', tool_calls: [call] }]) - plain).toBeGreaterThan(70);
    const schema = {
      type: 'json_schema' as const,
      json_schema: { name: 's', schema: { a: 'x'.repeat(90) } },
    };
    expect(bound([user('')], { response_format: schema }) - plain).toBeGreaterThan(690);
    const tools = [{ type: 'function', function: { name: 'f', description: 'x'.repeat(90) } }];
    expect(bound([user('')], { tools }) - plain).toBeGreaterThan(690);
  });

  it.each([
    ['an image, by the largest formula', { type: 'image_url', image_url: { url: 'https://x/y.png' } }, 5000],
    [
      'a minute of PCM',
      { type: 'input_audio', input_audio: { data: 'A'.repeat(640_000), format: 'wav' } },
      1920,
    ],
    [
      'a document that lies elsewhere: all there can be',
      { type: 'file', file: { file_id: 'f' } },
      128_000 - 80,
    ],
    ['a film', { type: 'video_url', video_url: { url: 'https://x/y' } }, 128_000 - 80],
    [
      'a film by value',
      { type: 'video_url', video_url: { url: `data:video/mp4;base64,${'A'.repeat(4000)}` } },
      12_000,
    ],
    ['a film for an image', { type: 'image_url', image_url: { url: 'https://youtu.be/x' } }, 128_000 - 80],
    [
      'a document’s address for an image',
      { type: 'image_url', image_url: { url: 'https://x/y.PDF?z' } },
      128_000 - 80,
    ],
    ['a film’s address for an image', { type: 'image_url', image_url: 'https://x/y.mp4' }, 128_000 - 80],
    ['a file for an image', { type: 'image_url', image_url: { url: 'gs://bucket/x' } }, 128_000 - 80],
    [
      'a document for an image',
      { type: 'image_url', image_url: { url: `data:application/pdf;base64,${'A'.repeat(4000)}` } },
      12_000,
    ],
    ['sounds', { type: 'audio_url', audio_url: 'https://x/y.mp3' }, 128_000 - 80],
    ['Anthropic’s document', { type: 'document', source: { type: 'url', url: 'https://x/y' } }, 128_000 - 80],
    [
      'one in a result',
      { type: 'tool_result', content: [{ type: 'document', source: { type: 'file', file_id: 'f' } }] },
      128_000 - 80,
    ],
    ['Anthropic’s image', { type: 'image', source: { type: 'url', url: 'https://x/y' } }, 5000],
    ['OpenAI’s file', { type: 'input_file', file_url: 'https://x/y' }, 128_000 - 80],
  ])('counts %s', (_name, part, least) => {
    expect(bound([user([part as never])]) - bound([user('')])).toBeGreaterThanOrEqual(least);
  });

  it.each([
    ['cached content', { cached_content: 'cachedContents/x' }],
    ['cached content, further in', { extra_body: { google: { cachedContent: 'cachedContents/x' } } }],
    [
      'a file in a turn that comes back',
      {
        messages: [
          {
            role: 'assistant',
            content: null,
            provider_specific_fields: { parts: [{ fileData: { fileUri: 'https://youtu.be/x' } }] },
          },
        ],
      },
    ],
  ])('counts all there can be for %s', (_name, rest) => {
    expect(bound([user('')], rest as Partial<ChatRequest>)).toBe(128_000);
  });

  it('counts what Gemini may find at an address, unless that says that it is an image', () => {
    const gemini = plan(target({ upstreamModel: 'gemini-3.5-flash' }));
    const counted = (image: object) =>
      quoter().quote(gemini, request([user([{ type: 'image_url', image_url: image as never }])]), false)
        .inputTokensBound;
    expect(counted({ url: 'https://x/y' })).toBe(128_000);
    expect(counted({ url: 'https://x/y.png?z' })).toBeLessThan(6000);
    expect(counted({ url: 'https://x/y', format: 'image/png' })).toBeLessThan(6000);
    expect(counted({ url: 'data:image/png;base64,AAAA' })).toBeLessThan(6000);
    const drawn = {
      role: 'assistant',
      content: null,
      images: [{ type: 'image_url', image_url: { url: 'https://x/y' } }],
    };
    expect(quoter().quote(gemini, request([drawn as ChatMessage]), false).inputTokensBound).toBe(128_000);
    const other = [user([{ type: 'image_url', image_url: { url: 'https://x/y' } }])];
    expect(bound(other)).toBeLessThan(6000);
  });

  it('counts an image of a model that multiplies them', () => {
    const image = { type: 'image_url' as const, image_url: { url: 'data:image/png;base64,AAAA' } };
    const mini = plan(target({ upstreamModel: 'gpt-4o-mini' }));
    expect(quoter().quote(mini, request([user([image])]), false).inputTokensBound).toBeGreaterThan(48_169);
  });

  it('is never above the context window', () => {
    expect(bound([user('x'.repeat(1_000_000))])).toBe(128_000);
  });
});

describe('refining', () => {
  const text = 'The quick brown fox jumps over the lazy dog. '.repeat(100);

  it('counts English to about a quarter of its bytes, with a margin', async () => {
    const quote = quoter().quote(plan(target()), request([user(text)]), false);
    const refined = await quote.refine?.();
    expect(quote.inputTokensBound).toBeGreaterThan(4500);
    expect(refined?.inputTokensBound).toBeLessThan(1400);
    expect(refined?.inputTokensBound).toBeGreaterThan(1000);
  });

  it('keeps a wider margin where the vocabulary is another', async () => {
    const counted = async (upstreamModel: string) =>
      (
        await quoter()
          .quote(plan(target({ upstreamModel })), request([user(text)]), false)
          .refine?.()
      )?.inputTokensBound ?? 0;
    expect(await counted('claude-3-haiku')).toBeGreaterThan((await counted('gpt-4o')) * 1.2);
  });

  it('does not count long texts', async () => {
    const quote = quoter().quote(
      plan(target({ contextWindow: 10_000_000 })),
      request([user('word '.repeat(20_000))]),
      false,
    );
    expect((await quote.refine?.())?.inputTokensBound).toBe(quote.inputTokensBound);
  });

  it.each([
    ['words without an end', 'x'],
    ['Chinese', '漢'],
    ['blanks', ' '],
  ])('needs no more time for %s than for other text', async (_name, character) => {
    const content = character.repeat(60_000 / Buffer.byteLength(character));
    const quote = quoter().quote(
      plan(target({ contextWindow: 10_000_000 })),
      request([user(content)]),
      false,
    );
    const startedMs = performance.now();
    expect((await quote.refine?.())?.inputTokensBound).toBeLessThan(quote.inputTokensBound);
    // Counted as one word, the Chinese alone take 3 s.
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });

  it('does not choke on text that looks like a special token', async () => {
    const quote = quoter().quote(plan(target()), request([user('<|endoftext|> '.repeat(50))]), false);
    expect((await quote.refine?.())?.inputTokensBound).toBeGreaterThan(0);
  });
});

describe('the quote', () => {
  it('is the dearest of the targets that may be tried', () => {
    const dear: PriceCard = { ...CARD, base: { inputPico: 1_000_000n, outputPico: 9_000_000n } };
    const small = target({ price: dear, priceVersion: 'dear', maxOutputTokens: 100 });
    const quote = quoter().quote(plan(target(), small), request([user('hi')]), false);
    const input = BigInt(quote.inputTokensBound) * 1000n;
    expect(quote.modelMaxOutputTokens).toBe(4096);
    expect(quoteCost(quote, 4096)).toBe(input + 4096n * 2000n);
    expect(quoteCost(quote, 100)).toBe(input + 100n * 9000n);
    expect(quote.targets.map((each) => each.priceVersion)).toEqual([priceVersionOf(CARD), 'dear']);
  });

  it('counts every answer asked for, and the calls of tools with a price of their own', () => {
    const one = quoter().quote(plan(target()), request([user('hi')]), false);
    const three = quoter().quote(plan(target()), request([user('hi')], { n: 3 }), false);
    expect(quoteCost(three, 10) - quoteCost(one, 10)).toBe(20n * 2000n);
    const searching = quoter().quote(
      plan(target()),
      request([user('hi')], { web_search_options: {} }),
      false,
    );
    const brought = BigInt(searching.inputTokensBound - one.inputTokensBound) * 1000n;
    expect(quoteCost(searching, 10) - quoteCost(one, 10) - brought).toBe(10n * 10_000_000n);
    for (const tool of [
      { type: 'google_search' },
      { googleSearch: {} },
      { google_search: {}, url_context: {} },
    ]) {
      const tools = [tool] as ChatRequest['tools'];
      const own = quoter().quote(plan(target()), request([user('hi')], { tools }), false);
      expect(quoteCost(own, 10) - quoteCost(one, 10)).toBeGreaterThanOrEqual(10n * 10_000_000n);
    }
  });

  it('has the input once for each turn that a vendor takes with its own tools, and what they bring', () => {
    const bound = (rest: Partial<ChatRequest>) =>
      quoter().quote(plan(target()), request([user('hi')], rest), false).inputTokensBound;
    const tools = [{ type: 'web_search_20250305', name: 'web_search', max_uses: 1 }];
    expect(bound({ tools })).toBeGreaterThan(2 * bound({}) + 20_000);
    expect(bound({ tools })).toBeLessThan(27_000);
    expect(bound({ web_search_options: {} })).toBeGreaterThan(10 * bound({}) + 128_000);
  });

  describe('of a tool that the vendor bills by the call', () => {
    const quoting =
      (rest: object, prices: Record<string, bigint>, changes: Partial<PlannedTarget> = {}) =>
      (): unknown => {
        const price = { ...CARD, toolCallPico: prices };
        const asked = request([user('x')], rest);
        const held = quoter();
        return held.quote(held.priced(plan(target({ price, ...changes })), asked), asked, false);
      };
    const tools = (...list: object[]) => ({ tools: list });

    it.each([
      [tools({ type: 'web_search_20250305', name: 'web_search' }), 'web_search'],
      [tools({ type: 'web_search' }), 'web_search'],
      [tools({ googleSearch: {} }), 'web_search'],
      [tools({ type: 'google_search' }), 'web_search'],
      [{ web_search_options: {} }, 'web_search'],
      [tools({ type: 'file_search', vector_store_ids: ['vs_1'] }), 'file_search'],
      [tools({ type: 'code_interpreter', container: { type: 'auto' } }), 'code_execution'],
      [tools({ type: 'image_generation' }), 'image_generation'],
      [tools({ googleMaps: {} }), 'google_maps'],
      [tools({ enterpriseWebSearch: {} }), 'enterprise_web_search'],
      [tools({ type: 'shell', environment: { type: 'container_auto' } }), 'shell'],
      [tools({ type: 'shell', environment: { type: 'container_auto', skills: ['local'] } }), 'shell'],
      [tools({ type: 'shell' }), 'shell'],
    ])('is refused without a price for it: %j', (asked, tool) => {
      const param = 'tools' in asked ? 'tools' : 'web_search_options';
      expect(quoting(asked, {})).toThrow(expect.objectContaining({ code: 'unsupported_parameter', param }));
      expect(quoting(asked, {})).toThrow(`gpt-4o has no price for calls of ${tool}`);
      expect(quoting(asked, { [tool]: 0n })).not.toThrow();
    });

    it('is refused, too, where only a part of what may be billed has one', () => {
      const preview = tools({ type: 'web_search_preview' });
      expect(quoting(preview, { web_search: 1n })).toThrow('web_search_preview');
      expect(quoting(preview, { web_search: 1n, web_search_preview: 1n })).not.toThrow();
      const large = { type: 'code_interpreter', container: { type: 'auto', memory_limit: '64g' } };
      expect(quoting(tools(large), { code_execution: 1n })).toThrow('memory_limit');
    });

    it('is asked for nothing where it costs nothing', () => {
      const free = [
        { type: 'web_fetch_20250910', name: 'web_fetch' },
        { type: 'code_execution_20250825' },
        { type: 'mcp', server_url: 'https://x' },
        { type: 'shell', environment: { type: 'local' } },
        { codeExecution: {} },
        { urlContext: {} },
        { fileSearch: {} },
        { type: 'tool_search' },
      ];
      expect(quoting(tools(...free), {})).not.toThrow();
    });

    it('goes to the targets that have a price for it', () => {
      const free = target({ provider: 'local', price: { ...CARD, toolCallPico: {} } });
      const asked = request([user('x')], { web_search_options: {} } as never);
      const both = plan(free, target());
      expect(quoter().priced(both, asked).targets).toEqual([target()]);
      expect(quoter().priced(both, request([user('x')]))).toBe(both);
    });

    it('is none where the provider has no searches by that field: it refuses or drops it', () => {
      const field = { web_search_options: {} };
      const closed = { provider: 'local', searchField: 'closed' } as const;
      expect(quoting(field, {}, closed)).not.toThrow();
      expect(quoting({ ...field, ...tools({ type: 'web_search' }) }, {}, closed)).toThrow('web_search');
      // Whoever searches, and has a price for it, is asked instead.
      const asked = request([user('x')], field);
      const local = target({ ...closed, price: { ...CARD, toolCallPico: {} } });
      const free = target({ price: { ...CARD, toolCallPico: {} } });
      expect(quoter().priced(plan(local, target()), asked).targets).toEqual([target()]);
      expect(quoter().priced(plan(free, local), asked).targets).toEqual([local]);
    });

    it('is held for once where a prompt is billed once, however often it searches', () => {
      const held = (changes: Partial<PlannedTarget>, ...list: object[]) => {
        const price = { ...CARD, toolCallPico: { web_search: 35_000_000_000n } };
        const asked = request([user('x')], tools(...list) as never);
        const { bounds } = quoter().quote(plan(target({ ...changes, price })), asked, false);
        const { bounds: free } = quoter().quote(plan(target(changes)), asked, false);
        return Number((bounds[0]!.worst.fixedPico - free[0]!.worst.fixedPico) / 25_000_000_000n);
      };
      expect(held({}, { googleSearch: {} })).toBe(10);
      expect(held({ billsSearchesOnce: true }, { googleSearch: {} })).toBe(1);
      expect(held({ billsSearchesOnce: true }, { googleSearch: {} }, { type: 'google_search' })).toBe(1);
    });

    it('needs none where a request has one, and the server takes the field as it is', () => {
      const field = { web_search_options: {} };
      const server = { provider: 'local', searchField: 'passed' } as const;
      const priced = { ...server, hasRequestPrice: true };
      expect(quoting(field, {}, priced)).not.toThrow();
      expect(quoting(field, {}, server)).toThrow('web_search');
      expect(quoting(field, {}, { hasRequestPrice: true })).toThrow('web_search');
      expect(quoting(tools({ type: 'web_search' }), {}, priced)).toThrow('web_search');
    });

    it('is one container, however often code runs in it', () => {
      const asked = tools({ type: 'code_interpreter', container: { type: 'auto' } });
      const worst = (code: bigint) =>
        (quoting(asked, { code_execution: code })() as ReturnType<QuoterService['quote']>).bounds[0]!.worst;
      expect(worst(7n).fixedPico - worst(0n).fixedPico).toBe(7n);
    });
  });

  it('is for as many calls of tools as OpenAI is told, and no other vendor', () => {
    const tokens = (provider: string, most: unknown): number => {
      const tools = [{ type: 'web_search' }] as never;
      const asked = request([user('x')], { tools, max_tool_calls: most });
      return quoter().quote(plan(target({ provider })), asked, false).inputTokensBound;
    };
    expect(tokens('openai', 1)).toBeLessThan(30_000);
    for (const most of [undefined, 0, -1, 1.5, '2', null])
      expect(tokens('openai', most)).toBeGreaterThan(150_000);
    // Dropped there, or passed over.
    for (const provider of ['anthropic', 'google', 'local'])
      expect(tokens(provider, 1)).toBeGreaterThan(150_000);
  });

  it('is at the price of long input only where one call of the model may be so long', () => {
    const tiers = [{ aboveInputTokens: 200_000, prices: { inputPico: 7_000_000n, outputPico: 2_000_000n } }];
    const long = target({ contextWindow: 1_000_000, price: { ...CARD, tiers } });
    const inputPico = (uses: number | undefined, own = 1): bigint => {
      const tools = [{ type: 'web_search_20250305', name: 'web_search', max_uses: uses }] as never;
      const asked = request([user('x'.repeat(own))], { tools });
      const { bounds, inputTokensBound } = quoter().quote(plan(long), asked, false);
      const searches = BigInt(uses ?? 10) * 10_000_000_000n;
      return (bounds[0]!.worst.fixedPico - searches) / BigInt(inputTokensBound);
    };
    // Seven turns that sum up to more than 200,000, the last of which reads 120,000 and some.
    expect(inputPico(6)).toBe(1_000_000n);
    expect(inputPico(6, 90_000)).toBe(7_000_000n);
    expect(inputPico(undefined)).toBe(7_000_000n);
  });

  it('has what lies elsewhere, and spoken answers, at the price of sound', () => {
    const base = { ...CARD.base, audioInputPico: 7_000_000n, audioOutputPico: 9_000_000n };
    const speaking = plan(target({ price: { ...CARD, base } }));
    const cost = (content: ChatMessage['content'], rest: Partial<ChatRequest>, output: number) =>
      quoteCost(quoter().quote(speaking, request([user(content)], rest), false), output);
    expect(cost([{ type: 'file', file: { file_id: 'f' } }], {}, 0)).toBe(128_000n * 7_000n);
    for (const rest of [
      { modalities: ['text', 'audio'] },
      { modalities: ['AUDIO'] },
      { response_modalities: ['AUDIO'] },
      { generation_config: { responseModalities: ['Audio'] } },
      { extra_body: { google: { generationConfig: { responseModalities: ['AUDIO'] } } } },
    ])
      expect(cost('hi', rest, 10) - cost('hi', rest, 0)).toBe(10n * 9_000n);
    expect(cost('hi', { modalities: ['text'] }, 10) - cost('hi', {}, 0)).toBe(10n * 2_000n);
  });

  it('is sliced only for a stream whose output is seen as it is written', () => {
    const sliceable = (each: PlannedTarget, stream: boolean, rest: Partial<ChatRequest> = {}) =>
      quoter().quote(plan(each), request([user('hi')], rest), stream).sliceable;
    const thinker = target({ capabilities: { ...target().capabilities, reasoning: true } });
    expect(sliceable(target(), true)).toBe(true);
    expect(sliceable(target(), false)).toBe(false);
    expect(sliceable(thinker, true)).toBe(false);
    expect(sliceable(target(), true, { reasoning_effort: 'high' })).toBe(false);
  });

  it('holds for long cache writes only when they are asked for', () => {
    const cached: PriceCard = { ...CARD, base: { ...CARD.base, cacheWrite1hPico: 2_000_000n } };
    const part = { type: 'text', text: 'hi', cache_control: { type: 'ephemeral', ttl: '1h' } };
    const cost = (content: ChatMessage['content'], rest: Partial<ChatRequest> = {}) => {
      const quote = quoter().quote(plan(target({ price: cached })), request([user(content)], rest), false);
      return quoteCost(quote, 0) / BigInt(quote.inputTokensBound);
    };
    expect(cost('hi')).toBe(1000n);
    expect(cost([part])).toBe(2000n);
    expect(cost('hi', { cache_control: part.cache_control })).toBe(2000n);
    expect(cost('hi', { cache_control: { type: 'ephemeral' } })).toBe(1000n);
  });

  it.each<[string, Partial<ChatRequest>, Partial<ChatMessage>?]>([
    ['a call of an earlier turn', {}, { tool_calls: [{ cache_control: LONG }] as never }],
    [
      'Anthropic’s own blocks of one',
      {},
      { provider_specific_fields: { anthropic_content: [{ cache_control: LONG }] } },
    ],
    [
      'a part within a tool’s result',
      {},
      {
        content: [
          { type: 'tool_result', content: [{ type: 'text', text: '', cache_control: LONG }] },
        ] as never,
      },
    ],
    [
      'a part within a document',
      {},
      {
        content: [
          { type: 'document', source: { content: [{ type: 'text', cache_control: LONG }] } },
        ] as never,
      },
    ],
    ['a function', { tools: [{ type: 'function', function: { name: 'f', cache_control: LONG } }] as never }],
    ['a function in the older form', { functions: [{ name: 'f', cache_control: LONG }] as never }],
    ['a tool', { tools: [{ type: 'function', function: { name: 'f' }, cache_control: LONG }] as never }],
    [
      'OpenAI’s breakpoint',
      {},
      { content: [{ type: 'text', text: '', prompt_cache_breakpoint: { ttl: '12h' } }] },
    ],
    ['OpenAI’s options', { prompt_cache_options: { mode: 'implicit', ttl: '12h' } }],
  ])('holds for long cache writes that %s asks for', (_what, rest, turn = {}) => {
    const asked = (text: string): ChatRequest => {
      const all = request([user('hi'), { role: 'assistant', content: '', ...turn } as ChatMessage], rest);
      return JSON.parse(JSON.stringify(all).replace(/"(1|12)h"/, `"${text}"`)) as ChatRequest;
    };
    const price = { ...CARD, base: { ...CARD.base, cacheWrite1hPico: 9_000_000n } };
    const held = (text: string) =>
      quoter().quote(plan(target({ price })), asked(text), false).bounds[0]!.worst.fixedPico;
    expect(held('1h')).toBe(9n * held('5m'));
    expect(held('12h')).toBe(9n * held('30m'));
  });
});
