import type { Vendor } from '../fake-upstream/script.js';
import { ANTHROPIC_REPLAY } from './anthropic-replay.js';
import { GOOGLE_REPLAY } from './google-replay.js';
import { OPENAI_REPLAY } from './openai-replay.js';
import type { Recording } from './recordings.js';
import type { VendorReplay } from './vendor-replay.js';

export * from './recordings.js';
export * from './vendor-replay.js';
export type * from './recorded-answer.js';

const REPLAYS: Readonly<Record<Vendor, VendorReplay>> = {
  openai: OPENAI_REPLAY,
  anthropic: ANTHROPIC_REPLAY,
  google: GOOGLE_REPLAY,
};

/** By the wire it speaks: Gemini's OpenAI-compatible endpoint counts as OpenAI's. */
export function vendorReplayOf(recording: Recording): VendorReplay {
  return recording.api === 'chat.completions' ? OPENAI_REPLAY : REPLAYS[recording.provider];
}
