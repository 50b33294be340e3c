import type { FuzzTarget } from '../fuzz-target.js';
import { ANTHROPIC_ANSWER, COMPATIBLE_ANSWER, GOOGLE_ANSWER, OPENAI_ANSWER } from './answers-of-vendors.js';
import { CHAT_REQUEST } from './chat-request.js';
import { ANTHROPIC_REQUEST, GOOGLE_REQUEST, OPENAI_REQUEST } from './requests-to-vendors.js';
import { ANTHROPIC_STREAM, COMPATIBLE_STREAM, GOOGLE_STREAM, OPENAI_STREAM } from './streams-of-vendors.js';

export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  CHAT_REQUEST,
  OPENAI_REQUEST,
  ANTHROPIC_REQUEST,
  GOOGLE_REQUEST,
  OPENAI_ANSWER,
  COMPATIBLE_ANSWER,
  ANTHROPIC_ANSWER,
  GOOGLE_ANSWER,
  OPENAI_STREAM,
  COMPATIBLE_STREAM,
  ANTHROPIC_STREAM,
  GOOGLE_STREAM,
];
