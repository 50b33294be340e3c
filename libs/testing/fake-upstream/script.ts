import type { IncomingHttpHeaders } from 'node:http';

export type Vendor = 'openai' | 'anthropic' | 'google';

/** Which requests an entry is for. Absent fields match everything. */
export interface RequestMatch {
  vendor?: Vendor;
  method?: string;
  /** Without the query; `/v1/*` means everything below. */
  path?: string;
  model?: string;
  /** Text that the body must hold. */
  bodyIncludes?: string;
}

/** Where an answer's bytes are cut into writes. */
export type Splitting =
  | { kind: 'whole' }
  /** Pieces of random length, up to `maxBytes` (default 64), the same for the same seed. */
  | { kind: 'random'; seed: number; maxBytes?: number }
  | { kind: 'bytes'; size: number }
  /** After every blank line: one server-sent event a write. */
  | { kind: 'events' };

export type AnswerBody =
  | { json: unknown }
  | { text: string; contentType?: string }
  /** An event stream as it goes over the wire. */
  | { sse: string }
  | { base64: string; contentType?: string }
  /** So many zero bytes, gzipped and declared as such. */
  | { gzipBombBytes: number }
  | { endless: 'header' | 'body' | 'sse-line' }
  /** What the fake would have answered by itself, with this entry's delays and faults. */
  | { builtIn: true };

/** What goes wrong. `before-headers`: after the request was read, before the status line. */
export interface AnswerFault {
  /** stall: silence on an open connection; cut: FIN; reset: RST. */
  kind: 'stall' | 'cut' | 'reset';
  /** Bytes of the body that are still sent. */
  afterBytes: number | 'before-headers';
}

export interface Answer {
  /** Interim answers sent first, e.g. 102 or 103. */
  informational?: { status: number; headers?: Record<string, string> }[];
  /** Before the status line. */
  delayMs?: number;
  /** Held back, before the status line, until the test releases this name. */
  gate?: string;
  status?: number;
  /** Replaces the answer's own headers of the same name. */
  headers?: Record<string, string | string[]>;
  body?: AnswerBody;
  splitting?: Splitting;
  /** Between two writes. */
  chunkDelayMs?: number;
  /** The body stops after so many bytes until the test releases this name. */
  gateAfter?: { gate: string; bytes: number };
  fault?: AnswerFault;
}

export interface ScriptEntry {
  match?: RequestMatch;
  answer: Answer;
  /** How many requests it answers before the next entry that matches takes over. Default 1. */
  times?: number | 'always';
}

/** How the built-in answers come, for tests that care about load and not about content. */
export interface BuiltInSettings {
  /** Before the status line. */
  delayMs?: number;
  /** Between the events of a stream. */
  chunkDelayMs?: number;
  /** Words of the answer; default: as many as the last user message has, and three more. */
  words?: number;
}

/** A request that the fake received. Times are `Date.now()`. */
export interface RecordedRequest {
  id: number;
  receivedAtMs: number;
  method: string;
  path: string;
  query: Record<string, string>;
  headers: IncomingHttpHeaders;
  body: string;
  /** The body as JSON; `undefined` when it is none. */
  json: unknown;
  vendor: Vendor | undefined;
  model: string | undefined;
  stream: boolean;
  /** Number of the connection it came on, from 1. */
  connection: number;
  /** Bytes of the answer's body written so far. */
  bytesSent: number;
  /** The whole answer was handed to the network. */
  finishedAtMs: number | undefined;
  /** The gateway went away before that. */
  abortedAtMs: number | undefined;
}
