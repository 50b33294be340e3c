import type { ChatRequest } from '@app/contracts';
import type { RecordedAnswer } from './recorded-answer.js';
import type { Recording } from './recordings.js';

/** What the replay has to know of one vendor's wire. */
export interface VendorReplay {
  upstreamModel(recording: Recording): string;
  /** The recorded request as a client of the gateway would have sent it. */
  toClientRequest(recording: Recording): ChatRequest;
  readAnswer(recording: Recording): RecordedAnswer;
  /** Two request bodies that are equal in this form ask the vendor for the same. */
  canonicalRequest(body: Record<string, unknown>): Record<string, unknown>;
}
