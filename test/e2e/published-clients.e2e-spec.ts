import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, streamText, tool, jsonSchema } from 'ai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type Gateway, mintToken, startGateway, type TestDatabase } from '@app/testing';

/** The published SDKs, as their users use them, against the running program. Nothing of the gateway is mocked. */
describe('published clients', () => {
  let database: TestDatabase;
  let gateway: Gateway;
  let token: string;
  let openai: OpenAI;

  beforeAll(async () => {
    database = await createDatabase();
    gateway = await startGateway({
      env: { DATABASE_URL: database.url, RATE_LIMIT_REQUESTS_PER_MINUTE: '10000' },
    });
    token = mintToken({ sub: 'alice' });
    openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: token, maxRetries: 0 });
  });
  afterAll(async () => {
    await gateway?.stop();
    await database?.drop();
  });

  const messages = [{ role: 'user' as const, content: 'one two three' }];
  const weather = {
    type: 'function' as const,
    function: {
      name: 'weather',
      description: 'Weather of a city',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    },
  };

  describe('openai', () => {
    it('creates a completion', async () => {
      const answer = await openai.chat.completions.create({ model: 'echo', messages });
      expect(answer.object).toBe('chat.completion');
      expect(answer.model).toBe('echo');
      expect(answer.choices[0]?.message.content).toContain('one two three');
      expect(answer.usage?.total_tokens).toBe(
        (answer.usage?.prompt_tokens ?? 0) + (answer.usage?.completion_tokens ?? 0),
      );
    });

    it('streams, with usage last', async () => {
      const stream = await openai.chat.completions.create({
        model: 'echo',
        messages,
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = '';
      let last: OpenAI.ChatCompletionChunk | undefined;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? '';
        last = chunk;
      }
      expect(text).toContain('one two three');
      expect(last?.choices).toEqual([]);
      expect(last?.usage?.completion_tokens).toBeGreaterThan(0);
    });

    it('runs tools through the helper', async () => {
      const runner = openai.chat.completions.runTools({
        model: 'echo-tools',
        messages,
        tools: [
          {
            type: 'function',
            function: {
              ...weather.function,
              function: (args: { city: string }) => `sunny in ${args.city}`,
              parse: JSON.parse,
            },
          },
        ],
      });
      const content = await runner.finalContent();
      expect(content).toBeTruthy();
      expect(runner.messages.some((message) => message.role === 'tool')).toBe(true);
    });

    it('lists models in the envelope, and retrieves one', async () => {
      const ids: string[] = [];
      for await (const model of openai.models.list()) ids.push(model.id);
      expect(ids).toContain('echo');
      expect((await openai.models.retrieve('echo')).id).toBe('echo');
    });

    it('gets typed errors', async () => {
      const stranger = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'not-a-token', maxRetries: 0 });
      await expect(stranger.chat.completions.create({ model: 'echo', messages })).rejects.toBeInstanceOf(
        OpenAI.AuthenticationError,
      );
      await expect(openai.chat.completions.create({ model: 'gpt-9', messages })).rejects.toMatchObject({
        status: 404,
        code: 'model_not_found',
        param: 'model',
      });
      await expect(
        openai.chat.completions.create({ model: 'echo-error-429', messages }),
      ).rejects.toBeInstanceOf(OpenAI.RateLimitError);
    });

    it('sees an error in the middle of a stream', async () => {
      const stream = await openai.chat.completions.create({
        model: 'echo-error-midstream',
        messages,
        stream: true,
      });
      await expect(
        (async () => {
          for await (const chunk of stream) void chunk;
        })(),
      ).rejects.toThrow();
    });
  });

  describe('ai + @ai-sdk/openai-compatible', () => {
    const model = (id: string) =>
      createOpenAICompatible({
        name: 'gateway',
        baseURL: `${gateway.url}/v1`,
        apiKey: token,
        includeUsage: true,
      })(id);

    it('generates and streams', async () => {
      const whole = await generateText({ model: model('echo'), prompt: 'one two three', maxRetries: 0 });
      expect(whole.text).toContain('one two three');
      const streamed = streamText({ model: model('echo'), prompt: 'one two three', maxRetries: 0 });
      let text = '';
      for await (const part of streamed.textStream) text += part;
      expect(text).toBe(whole.text);
      expect((await streamed.usage).outputTokens).toBeGreaterThan(0);
    });

    it('calls tools', async () => {
      const { toolCalls } = await generateText({
        model: model('echo-tools'),
        prompt: 'weather?',
        maxRetries: 0,
        tools: {
          weather: tool({ inputSchema: jsonSchema<{ city: string }>(weather.function.parameters as never) }),
        },
      });
      expect(toolCalls[0]?.toolName).toBe('weather');
    });

    it('reads reasoning', async () => {
      const { reasoningText } = await generateText({
        model: model('echo-reasoning'),
        prompt: 'why?',
        maxRetries: 0,
      });
      expect(reasoningText).toBeTruthy();
    });
  });

  describe('@langchain/openai', () => {
    const model = (id: string) =>
      new ChatOpenAI({
        model: id,
        apiKey: token,
        maxRetries: 0,
        configuration: { baseURL: `${gateway.url}/v1` },
      });

    it('invokes and streams', async () => {
      const whole = await model('echo').invoke('one two three');
      expect(whole.text).toContain('one two three');
      let text = '';
      for await (const chunk of await model('echo').stream('one two three')) text += chunk.text;
      expect(text).toBe(whole.text);
    });

    it('binds tools', async () => {
      const answer = await model('echo-tools').bindTools([weather]).invoke('weather?');
      expect(answer.tool_calls?.[0]?.name).toBe('weather');
    });
  });

  describe('plain HTTP programs', () => {
    const headers = () => ({ Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' });

    it('reads the stream with a reader, splitting on lines', async () => {
      const response = await fetch(`${gateway.url}/v1/chat/completions/stream`, {
        method: 'POST',
        headers: headers(),
        body: JSON.stringify({ model: 'echo', messages }),
      });
      expect(response.headers.get('content-type')).toContain('text/event-stream');
      expect(response.headers.get('x-accel-buffering')).toBe('no');
      const reader = response.body?.getReader();
      const decoder = new TextDecoder();
      let rest = '';
      let text = '';
      let isDone = false;
      for (let step = await reader?.read(); step && !step.done; step = await reader?.read()) {
        const lines = (rest + decoder.decode(step.value, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          if (line === 'data: [DONE]') isDone = true;
          else if (line.startsWith('data: ')) {
            const chunk = JSON.parse(line.slice(6)) as OpenAI.ChatCompletionChunk;
            text += chunk.choices[0]?.delta.content ?? '';
          }
        }
      }
      expect(isDone).toBe(true);
      expect(text).toContain('one two three');
    });

    it('iterates the bare model array, completes, and reads balance and transactions', async () => {
      const models = (await (await fetch(`${gateway.url}/v1/models`, { headers: headers() })).json()) as {
        id: string;
        object: string;
      }[];
      expect(Array.isArray(models)).toBe(true);
      for (const model of models) expect(model.object).toBe('model');

      const before = (await (
        await fetch(`${gateway.url}/billing/balance`, { headers: headers() })
      ).json()) as {
        balance: number;
      };
      const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: headers(),
        body: JSON.stringify({ model: 'echo', messages }),
      });
      const cost = Number(answer.headers.get('x-request-cost'));
      expect(cost).toBeGreaterThan(0);
      const after = (await (
        await fetch(`${gateway.url}/billing/balance`, { headers: headers() })
      ).json()) as {
        balance: number;
        held: number;
      };
      expect(before.balance - after.balance).toBeCloseTo(cost, 9);
      expect(after.held).toBe(0);
      const list = (await (
        await fetch(`${gateway.url}/billing/transactions?limit=1`, { headers: headers() })
      ).json()) as { transactions: { amount: number; type: string; description: string }[] };
      expect(list.transactions[0]).toMatchObject({
        type: 'charge',
        description: 'Chat completion with echo',
      });
      expect(list.transactions[0]?.amount).toBeCloseTo(-cost, 9);
    });
  });
});
