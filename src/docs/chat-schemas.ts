import type { OpenAPIObject } from '@nestjs/swagger';

type Schemas = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>;
export type SchemaObject = Exclude<Schemas[string], { $ref: string }>;

const nullable = (schema: SchemaObject): SchemaObject => ({
  oneOf: [schema, { type: 'null' } as unknown as SchemaObject],
});
const open = (properties: Record<string, SchemaObject>, required: string[] = []): SchemaObject => ({
  type: 'object',
  properties,
  required,
  additionalProperties: true,
});

const TOOL_CALL = open(
  {
    id: { type: 'string' },
    type: { type: 'string', enum: ['function'] },
    function: open(
      { name: { type: 'string' }, arguments: { type: 'string', description: 'JSON as text.' } },
      ['name', 'arguments'],
    ),
    provider_specific_fields: { type: 'object', additionalProperties: true },
  },
  ['id', 'function'],
);

const CONTENT_PART = open(
  { type: { type: 'string', enum: ['text', 'image_url', 'input_audio', 'file', 'refusal'] } },
  ['type'],
);

const USAGE = open(
  {
    prompt_tokens: { type: 'integer' },
    completion_tokens: { type: 'integer' },
    total_tokens: { type: 'integer' },
    prompt_tokens_details: nullable(
      open({ cached_tokens: { type: 'integer' }, audio_tokens: { type: 'integer' } }),
    ),
    completion_tokens_details: nullable(
      open({ reasoning_tokens: { type: 'integer' }, audio_tokens: { type: 'integer' } }),
    ),
  },
  ['prompt_tokens', 'completion_tokens', 'total_tokens'],
);

const FINISH_REASON: SchemaObject = {
  type: 'string',
  enum: ['stop', 'length', 'tool_calls', 'content_filter', 'function_call'],
};

/** Shapes that no DTO class describes: OpenAI's messages, answers and chunks, and the error envelope. */
export const CHAT_SCHEMAS: Readonly<Record<string, SchemaObject>> = {
  ChatMessage: {
    ...open(
      {
        role: { type: 'string', enum: ['system', 'developer', 'user', 'assistant', 'tool', 'function'] },
        content: {
          oneOf: [
            { type: 'string' },
            { type: 'array', items: CONTENT_PART },
            { type: 'null' } as unknown as SchemaObject,
          ],
        },
        name: { type: 'string' },
        tool_calls: nullable({ type: 'array', items: TOOL_CALL }),
        tool_call_id: { type: 'string' },
        reasoning_content: nullable({ type: 'string' }),
        provider_specific_fields: nullable({ type: 'object', additionalProperties: true }),
      },
      ['role'],
    ),
    example: { role: 'user', content: 'Say hello.' },
  },
  ChatCompletion: {
    ...open(
      {
        id: { type: 'string' },
        object: { type: 'string', enum: ['chat.completion'] },
        created: { type: 'integer', description: 'Unix time in seconds.' },
        model: { type: 'string', description: 'The model the client asked for.' },
        choices: {
          type: 'array',
          items: open(
            {
              index: { type: 'integer' },
              message: open(
                {
                  role: { type: 'string', enum: ['assistant'] },
                  content: nullable({ type: 'string' }),
                  refusal: nullable({ type: 'string' }),
                  reasoning_content: nullable({ type: 'string' }),
                  tool_calls: { type: 'array', items: TOOL_CALL },
                  provider_specific_fields: { type: 'object', additionalProperties: true },
                },
                ['role', 'content'],
              ),
              finish_reason: FINISH_REASON,
              logprobs: nullable({ type: 'object', additionalProperties: true }),
            },
            ['index', 'message', 'finish_reason'],
          ),
        },
        usage: USAGE,
      },
      ['id', 'object', 'created', 'model', 'choices'],
    ),
    example: {
      id: 'chatcmpl-0199',
      object: 'chat.completion',
      created: 1790000000,
      model: 'echo',
      choices: [
        { index: 0, message: { role: 'assistant', content: 'Echo: Say hello.' }, finish_reason: 'stop' },
      ],
      usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
    },
  },
  RouteExplanation: {
    type: 'object',
    description: 'The answer to `?explain=route`.',
    required: ['object', 'model', 'targets', 'input_tokens_bound', 'max_output_tokens'],
    properties: {
      object: { type: 'string', enum: ['route.explanation'] },
      model: { type: 'string' },
      targets: {
        type: 'array',
        description: 'In the order in which they would be tried.',
        items: open({
          provider: { type: 'string' },
          upstream_model: { type: 'string' },
          model: { type: 'string' },
          reason: { type: 'string', description: 'Why the target has this position.' },
          availability: { type: 'string', enum: ['ok', 'cooldown', 'breaker-open'] },
          weight: { type: 'integer' },
          context_window: { type: 'integer' },
          max_output_tokens: { type: 'integer' },
          price_version: { type: 'string' },
          latency_ms: {
            type: 'object',
            description: 'Average time until an answer begins; null if not measured in the last minute.',
            properties: { stream: nullable({ type: 'number' }), whole: nullable({ type: 'number' }) },
          },
        }),
      },
      input_tokens_bound: { type: 'integer' },
      max_output_tokens: { type: 'integer' },
    },
  },
  ChatCompletionChunk: {
    ...open(
      {
        id: { type: 'string' },
        object: { type: 'string', enum: ['chat.completion.chunk'] },
        created: { type: 'integer' },
        model: { type: 'string' },
        choices: {
          type: 'array',
          items: open(
            {
              index: { type: 'integer' },
              delta: { type: 'object', additionalProperties: true },
              finish_reason: nullable(FINISH_REASON),
            },
            ['index', 'delta', 'finish_reason'],
          ),
        },
        usage: nullable(USAGE),
      },
      ['id', 'object', 'created', 'model', 'choices'],
    ),
    example: {
      id: 'chatcmpl-0199',
      object: 'chat.completion.chunk',
      created: 1790000000,
      model: 'echo',
      choices: [{ index: 0, delta: { content: 'Echo:' }, finish_reason: null }],
    },
  },
  Error: {
    type: 'object',
    required: ['error'],
    properties: {
      error: {
        type: 'object',
        required: ['message', 'type', 'param', 'code'],
        properties: {
          message: { type: 'string' },
          type: { type: 'string' },
          param: nullable({ type: 'string' }),
          code: nullable({ type: 'string' }),
        },
      },
    },
    example: {
      error: {
        message: 'The model "gpt-9" is not available here. GET /v1/models lists the available models.',
        type: 'not_found_error',
        param: 'model',
        code: 'model_not_found',
      },
    },
  },
};
