import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Answer, Splitting, Vendor } from '../fake-upstream/script.js';

/** One recorded exchange with a real provider, as it lies in the folder that PROVIDER_TRAFFIC_DIR names. */
export interface Recording {
  readonly id: string;
  readonly provider: Vendor;
  /** The vendor's operation, e.g. `chat.completions`, `messages`, `streamGenerateContent`. */
  readonly api: string;
  /** The client asked for a stream; an error may have answered it as plain JSON all the same. */
  readonly stream: boolean;
  readonly tags: readonly string[];
  readonly source: { readonly host?: string; readonly fidelity: string };
  readonly request: { readonly path: string; readonly body: Record<string, unknown> };
  readonly response: {
    readonly status: number;
    readonly headers: Record<string, string>;
    /** JSON; text when the answer was none. */
    readonly body?: unknown;
    readonly sse?: string;
  };
}

/** The operations that a chat completion of ours becomes. */
const CHAT_OPERATIONS = new Set(['chat.completions', 'messages', 'generateContent', 'streamGenerateContent']);

/** The folder of the recordings; `undefined` when the environment names none. */
export function trafficDirectory(): string | undefined {
  return process.env['PROVIDER_TRAFFIC_DIR'] || undefined;
}

/** Every recorded chat exchange of a vendor, by id. None when there is no folder. */
export function readChatRecordings(vendor: Vendor): Recording[] {
  const folder = trafficDirectory();
  if (!folder) return [];
  return readdirSync(join(folder, vendor))
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, vendor, name), 'utf8')) as Recording)
    .filter((recording) => CHAT_OPERATIONS.has(recording.api));
}

/** What the fake upstream has to send so that the gateway gets the recorded answer. */
export function toAnswer({ response }: Recording, splitting: Splitting): Answer {
  const { status, headers, body, sse } = response;
  if (sse !== undefined) return { status, headers, body: { sse }, splitting };
  if (typeof body === 'string') return { status, headers, body: { text: body }, splitting };
  return { status, headers, body: { json: body }, splitting };
}
