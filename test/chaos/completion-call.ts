import { createHash } from 'node:crypto';
import { Agent, type ClientRequest, type IncomingMessage, request as openRequest } from 'node:http';

export interface CompletionCall {
  readonly port: number;
  readonly token: string;
  readonly requestId: string;
  readonly key: string | undefined;
  readonly body: { readonly stream: boolean; readonly [field: string]: unknown };
  /** The client leaves after so many ms, whatever has come. */
  readonly leaveAfterMs: number;
}

/** What the client saw. */
export interface CallOutcome {
  /** `undefined` = no status line came. */
  readonly status: number | undefined;
  /** The end of a good answer was seen: a whole body, or `[DONE]`. */
  readonly complete: boolean;
  readonly code: string | undefined;
  readonly message: string;
  readonly mayRetry: boolean;
  /** `x-gateway-model`: who answered. */
  readonly model: string | undefined;
  /** `x-request-cost`: whole answers only. */
  readonly cost: string | undefined;
  readonly replay: boolean;
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number } | undefined;
  readonly left: boolean;
  /** Nobody listens there. */
  readonly refused: boolean;
  /** Of a complete answer: the same for every caller with the same key. */
  readonly digest: string | undefined;
}

const agent = new Agent({ keepAlive: true, maxSockets: 512 });

/** Sends one completion request and never throws: everything that can go wrong is an outcome. */
export function callCompletion(call: CompletionCall): Promise<CallOutcome> {
  return new Promise((resolve) => {
    let response: IncomingMessage | undefined;
    let text = '';
    let left = false;
    let refused = false;
    let isOver = false;
    const finish = (ended: boolean): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(patience);
      resolve({ ...judge(call, response, text, ended), left, refused });
    };
    const outgoing = open(call);
    const patience = setTimeout(() => {
      left = true;
      outgoing.destroy();
      finish(false);
    }, call.leaveAfterMs);
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      refused = error.code === 'ECONNREFUSED';
      finish(false);
    });
    outgoing.on('response', (incoming) => {
      response = incoming;
      incoming.setEncoding('utf8');
      incoming.on('data', (piece: string) => (text += piece));
      incoming.on('end', () => finish(true));
      incoming.on('error', () => finish(false));
      incoming.on('close', () => finish(false));
    });
    outgoing.end(JSON.stringify(call.body));
  });
}

function open(call: CompletionCall): ClientRequest {
  return openRequest({
    agent,
    host: '127.0.0.1',
    port: call.port,
    path: '/v1/chat/completions',
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${call.token}`,
      'x-request-id': call.requestId,
      ...(call.key === undefined ? {} : { 'idempotency-key': call.key }),
    },
  });
}

function judge(
  call: CompletionCall,
  response: IncomingMessage | undefined,
  text: string,
  ended: boolean,
): Omit<CallOutcome, 'left' | 'refused'> {
  const isGood = response?.statusCode === 200;
  const seen = isGood && call.body.stream ? readStream(text) : readWhole(text, isGood && ended);
  return {
    status: response?.statusCode,
    complete: seen.complete,
    code: seen.error?.code,
    message: seen.error?.message ?? '',
    mayRetry: response?.headers['x-should-retry'] !== 'false',
    model: header(response, 'x-gateway-model'),
    cost: header(response, 'x-request-cost'),
    replay: header(response, 'x-idempotent-replay') === 'true',
    usage: seen.usage,
    digest: seen.complete ? digestOf(text) : undefined,
  };
}

/** Pings are no part of an answer. */
function digestOf(text: string): string {
  return createHash('sha256').update(text.replaceAll(': ping\n', '')).digest('hex').slice(0, 16);
}

interface Seen {
  complete: boolean;
  usage?: CallOutcome['usage'];
  error?: { code?: string; message?: string } | undefined;
}

function readWhole(text: string, isGood: boolean): Seen {
  const body = parse(text);
  if (!isGood || !body) return { complete: false, error: body?.error };
  return { complete: body.choices !== undefined, usage: body.usage };
}

function readStream(text: string): Seen {
  const seen: Seen = { complete: false };
  for (const line of text.split('\n')) {
    if (line === 'data: [DONE]') seen.complete = true;
    const event = line.startsWith('data: {') ? parse(line.slice('data: '.length)) : undefined;
    if (event?.usage) seen.usage = event.usage;
    if (event?.error) seen.error = event.error;
  }
  return seen;
}

interface Body {
  choices?: unknown;
  usage?: CallOutcome['usage'];
  error?: { code?: string; message?: string };
}

function parse(text: string): Body | undefined {
  try {
    return JSON.parse(text) as Body;
  } catch {
    return undefined;
  }
}

function header(response: IncomingMessage | undefined, name: string): string | undefined {
  const value = response?.headers[name];
  return typeof value === 'string' ? value : undefined;
}
