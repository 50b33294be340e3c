import type { FuzzTarget } from '../fuzz-target.js';
import { ANTHROPIC_ANSWER, COMPATIBLE_ANSWER, GOOGLE_ANSWER, OPENAI_ANSWER } from './answers-of-vendors.js';
import { ADMISSION } from './admission.js';
import { CHAT_REQUEST } from './chat-request.js';
import { GATEWAY_CONFIG } from './gateway-config.js';
import { HELD_INPUT } from './held-input.js';
import { HOST_HEADER } from './host-header.js';
import { JWT } from './jwt.js';
import { PRICE_DATA } from './price-data.js';
import { SSE_DECODER } from './sse-decoder.js';
import { ANTHROPIC_REQUEST, GOOGLE_REQUEST, OPENAI_REQUEST } from './requests-to-vendors.js';
import { ANTHROPIC_STREAM, COMPATIBLE_STREAM, GOOGLE_STREAM, OPENAI_STREAM } from './streams-of-vendors.js';

export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  CHAT_REQUEST,
  ADMISSION,
  JWT,
  HOST_HEADER,
  GATEWAY_CONFIG,
  PRICE_DATA,
  SSE_DECODER,
  OPENAI_REQUEST,
  ANTHROPIC_REQUEST,
  GOOGLE_REQUEST,
  HELD_INPUT,
  OPENAI_ANSWER,
  COMPATIBLE_ANSWER,
  ANTHROPIC_ANSWER,
  GOOGLE_ANSWER,
  OPENAI_STREAM,
  COMPATIBLE_STREAM,
  ANTHROPIC_STREAM,
  GOOGLE_STREAM,
];
