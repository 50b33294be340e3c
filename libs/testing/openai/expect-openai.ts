import type { ChatChunk, ChatCompletion, ErrorEnvelope } from '@app/contracts';
import { Ajv, type ValidateFunction } from 'ajv';
import { CHAT_CHUNK_SCHEMA, CHAT_COMPLETION_SCHEMA, ERROR_SCHEMA } from './schemas.js';

const ajv = new Ajv({ allErrors: true, allowUnionTypes: true });
const isCompletion = ajv.compile<ChatCompletion>(CHAT_COMPLETION_SCHEMA);
const isChunk = ajv.compile<ChatChunk>(CHAT_CHUNK_SCHEMA);
const isError = ajv.compile<ErrorEnvelope>(ERROR_SCHEMA);

/** Throws, with every fault, unless the value is what OpenAI's reference calls a chat completion. */
export function expectChatCompletion(value: unknown): ChatCompletion {
  return check(isCompletion, value, 'a chat completion');
}

export function expectChatChunk(value: unknown): ChatChunk {
  return check(isChunk, value, 'a chat completion chunk');
}

/** The envelope of every error of the gateway. */
export function expectErrorEnvelope(value: unknown): ErrorEnvelope {
  return check(isError, value, 'an error envelope');
}

function check<T>(validate: ValidateFunction<T>, value: unknown, what: string): T {
  if (validate(value)) return value;
  const faults = ajv.errorsText(validate.errors, { separator: '\n  ' });
  throw new Error(`not ${what}:\n  ${faults}\n${JSON.stringify(value)?.slice(0, 2_000)}`);
}
