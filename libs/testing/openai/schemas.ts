/**
 * JSON Schemas of OpenAI's Chat Completions answers, written from its published API reference ("The chat completion
 * object", "The chat completion chunk object", read 2026-11), for checking what the gateway sends.
 *
 * Two departures, both because the recorded traffic of the real API needs them: `refusal` and `logprobs` may be absent
 * (older answers), and further properties are allowed everywhere (new ones keep appearing).
 */
const NULLABLE_STRING = { type: ['string', 'null'] };
const COUNT = { type: 'integer', minimum: 0 };
const FINISH_REASON = { enum: ['stop', 'length', 'tool_calls', 'content_filter', 'function_call'] };

const USAGE = {
  type: 'object',
  required: ['prompt_tokens', 'completion_tokens', 'total_tokens'],
  properties: {
    prompt_tokens: COUNT,
    completion_tokens: COUNT,
    total_tokens: COUNT,
    prompt_tokens_details: {
      type: ['object', 'null'],
      properties: { cached_tokens: COUNT, audio_tokens: COUNT },
    },
    completion_tokens_details: {
      type: ['object', 'null'],
      properties: {
        reasoning_tokens: COUNT,
        audio_tokens: COUNT,
        accepted_prediction_tokens: COUNT,
        rejected_prediction_tokens: COUNT,
      },
    },
  },
};

const TOKEN_LOGPROB = {
  type: 'object',
  required: ['token', 'logprob'],
  properties: {
    token: { type: 'string' },
    logprob: { type: 'number' },
    bytes: { type: ['array', 'null'], items: { type: 'integer' } },
    top_logprobs: { type: 'array' },
  },
};

const LOGPROBS = {
  type: ['object', 'null'],
  properties: {
    content: { type: ['array', 'null'], items: TOKEN_LOGPROB },
    refusal: { type: ['array', 'null'], items: TOKEN_LOGPROB },
  },
};

const ANNOTATIONS = {
  type: 'array',
  items: { type: 'object', required: ['type'], properties: { type: { type: 'string' } } },
};

const TOOL_CALL = {
  type: 'object',
  required: ['id', 'type', 'function'],
  properties: {
    id: { type: 'string', minLength: 1 },
    type: { const: 'function' },
    function: {
      type: 'object',
      required: ['name', 'arguments'],
      properties: { name: { type: 'string', minLength: 1 }, arguments: { type: 'string' } },
    },
  },
};

const ENVELOPE = {
  id: { type: 'string', minLength: 1 },
  created: COUNT,
  model: { type: 'string', minLength: 1 },
  service_tier: NULLABLE_STRING,
  system_fingerprint: NULLABLE_STRING,
};

export const CHAT_COMPLETION_SCHEMA = {
  type: 'object',
  required: ['id', 'object', 'created', 'model', 'choices'],
  properties: {
    ...ENVELOPE,
    object: { const: 'chat.completion' },
    usage: USAGE,
    choices: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['index', 'message', 'finish_reason'],
        properties: {
          index: COUNT,
          finish_reason: FINISH_REASON,
          logprobs: LOGPROBS,
          message: {
            type: 'object',
            required: ['role', 'content'],
            properties: {
              role: { const: 'assistant' },
              content: NULLABLE_STRING,
              refusal: NULLABLE_STRING,
              reasoning_content: NULLABLE_STRING,
              annotations: ANNOTATIONS,
              tool_calls: { type: 'array', minItems: 1, items: TOOL_CALL },
            },
          },
        },
      },
    },
  },
};

export const CHAT_CHUNK_SCHEMA = {
  type: 'object',
  required: ['id', 'object', 'created', 'model', 'choices'],
  properties: {
    ...ENVELOPE,
    object: { const: 'chat.completion.chunk' },
    usage: { anyOf: [USAGE, { type: 'null' }] },
    choices: {
      type: 'array',
      items: {
        type: 'object',
        required: ['index', 'delta', 'finish_reason'],
        properties: {
          index: COUNT,
          finish_reason: { anyOf: [FINISH_REASON, { type: 'null' }] },
          logprobs: LOGPROBS,
          delta: {
            type: 'object',
            properties: {
              role: { const: 'assistant' },
              content: NULLABLE_STRING,
              refusal: NULLABLE_STRING,
              reasoning_content: NULLABLE_STRING,
              tool_calls: {
                type: 'array',
                items: {
                  type: 'object',
                  required: ['index'],
                  properties: {
                    index: COUNT,
                    id: { type: 'string', minLength: 1 },
                    type: { const: 'function' },
                    function: {
                      type: 'object',
                      properties: { name: { type: 'string', minLength: 1 }, arguments: { type: 'string' } },
                    },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
};

export const ERROR_SCHEMA = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      properties: {
        message: { type: 'string', minLength: 1 },
        type: { type: 'string', minLength: 1 },
        param: NULLABLE_STRING,
        code: NULLABLE_STRING,
      },
    },
  },
};
