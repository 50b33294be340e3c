import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { mintToken, ownGateway } from '@app/testing';
import { generateText, isStepCount, jsonSchema, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';

const SIGNATURE = 'EucECuQEAb4+9/-_==';
const PARAMETERS = { type: 'object' as const, properties: { city: { type: 'string' as const } } };
const call = (city: string, fields = {}) => ({
  functionCall: { name: 'weather', args: { city } },
  ...fields,
});
const answer = (...parts: object[]) => ({
  candidates: [{ content: { role: 'model', parts }, finishReason: 'STOP' }],
  usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 },
});
/** The signature stands on the first of the two only, as Gemini 3 gives it; without it the next turn is a 400. */
const CALLS = [call('Paris', { thoughtSignature: SIGNATURE }), call('Rome')];
const said = (text: string) => ({ text });

describe('signatures of Gemini’s calls, in a loop of tools', () => {
  const own = ownGateway();
  let baseURL: string;
  const apiKey = mintToken({ sub: 'alice' });

  beforeAll(() => {
    baseURL = `${own.gateway.url}/v1`;
  });
  beforeEach(() => own.upstream.reset());

  async function answersInTurn(...turns: object[][]): Promise<void> {
    for (const parts of turns) await own.upstream.answerNext({ body: { json: answer(...parts) } });
  }

  async function streamsInTurn(...turns: object[][]): Promise<void> {
    for (const parts of turns)
      await own.upstream.answerNext({ body: { sse: `data: ${JSON.stringify(answer(...parts))}\r\n\r\n` } });
  }

  /** The parts of each turn of the model's in the last request. */
  async function turnsBroughtBack(): Promise<unknown[]> {
    const { contents } = (await own.upstream.completions()).at(-1)!.json as {
      contents: { role: string; parts: Record<string, unknown>[] }[];
    };
    return contents.filter(({ role }) => role === 'model').map(({ parts }) => parts);
  }

  const TURNS = [CALLS, [call('Oslo', { thoughtSignature: 'c2Vjb25k' })], [said('Sunny everywhere.')]];
  const BROUGHT_BACK = TURNS.slice(0, 2);

  const forAi = () => ({
    model: createOpenAICompatible({ name: 'gateway', baseURL, apiKey })('gemini-3-flash-preview'),
    prompt: 'Weather?',
    maxRetries: 0,
    stopWhen: isStepCount(5),
    tools: {
      weather: tool({
        inputSchema: jsonSchema<{ city?: string }>(PARAMETERS),
        execute: ({ city }) => `sunny in ${city}`,
      }),
    },
  });

  it('come back from the AI SDK, which knows `extra_content` alone', async () => {
    await answersInTurn(...TURNS);
    expect((await generateText(forAi())).text).toBe('Sunny everywhere.');
    expect(await turnsBroughtBack()).toEqual(BROUGHT_BACK);
  });

  it('come back from its streams', async () => {
    await streamsInTurn(...TURNS);
    const { text } = streamText(forAi());
    expect(await text).toBe('Sunny everywhere.');
    expect(await turnsBroughtBack()).toEqual(BROUGHT_BACK);
  });

  describe('with the official SDK', () => {
    const tools = [{ type: 'function' as const, function: { name: 'weather', parameters: PARAMETERS } }];
    const openai = () => new OpenAI({ baseURL, apiKey, maxRetries: 0 }).chat.completions;
    type Params = Pick<OpenAI.ChatCompletionCreateParams, 'model' | 'messages' | 'tools'>;

    /** Messages are given back as the SDK gave them, until no tool is called. (Its `runTools` leaves out what it does not know.) */
    async function loop(ask: (params: Params) => Promise<OpenAI.ChatCompletion>) {
      const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'Weather?' }];
      for (;;) {
        const { choices } = await ask({ model: 'gemini-3-flash-preview', messages, tools });
        const { message } = choices[0]!;
        messages.push(message);
        if (!message.tool_calls) return messages;
        for (const { id } of message.tool_calls)
          messages.push({ role: 'tool', tool_call_id: id, content: 'sunny' });
      }
    }

    it('come back whole', async () => {
      await answersInTurn(...TURNS);
      await loop((params) => openai().create(params));
      expect(await turnsBroughtBack()).toEqual(BROUGHT_BACK);
    });

    it('come back with the only call of a turn for who takes one at a time', async () => {
      await answersInTurn(...TURNS);
      const messages = await loop((params) => openai().create({ ...params, parallel_tool_calls: false }));
      expect(messages.map(({ role }) => role).join(' ')).toBe('user assistant tool assistant tool assistant');
      expect(await turnsBroughtBack()).toEqual([CALLS.slice(0, 1), TURNS[1]]);
    });

    it('come back from streams, and do not go to OpenAI', async () => {
      await streamsInTurn(...TURNS);
      const messages = await loop((params) => openai().stream(params).finalChatCompletion());
      expect(await turnsBroughtBack()).toEqual(BROUGHT_BACK);
      await openai().create({ model: 'gpt-4o', messages });
      const sent = (await own.upstream.completions()).at(-1)!.json as { messages: unknown[] };
      expect(sent.messages).toHaveLength(messages.length);
      expect(JSON.stringify(sent.messages)).not.toMatch(/extra_content|provider_specific_fields|signature/);
    });
  });
});
