import { createTransport, suppressTracing } from '@sentry/nestjs';
import { Agent, request } from 'undici';

/** A hanging ingest gives its slot back after this; with Sentry's own transport it would keep it for ever. */
const SEND_TIMEOUT_MS = 5_000;
/** Envelopes on their way or waiting for a connection; the next one is dropped and counted. */
const MAX_IN_FLIGHT = 32;
const CONNECTIONS = 4;
const MAX_ANSWER_BYTES = 16_384;

type TransportOptions = Parameters<typeof createTransport>[0] & {
  url: string;
  headers?: Record<string, string>;
};

/** Sentry's transport over undici, bounded in time and in number. */
export function boundedTransport(options: TransportOptions): ReturnType<typeof createTransport> {
  // Timeouts of the agent cost half of what an AbortSignal for each call does.
  const dispatcher = new Agent({
    connections: CONNECTIONS,
    connect: { timeout: SEND_TIMEOUT_MS },
    headersTimeout: SEND_TIMEOUT_MS,
    bodyTimeout: SEND_TIMEOUT_MS,
  });
  return createTransport({ ...options, bufferSize: MAX_IN_FLIGHT }, ({ body }) =>
    // With auto-instrumentation, sending would be traced too, and each envelope make the next.
    suppressTracing(() => post(options, body, dispatcher)),
  );
}

async function post({ url, headers }: TransportOptions, body: string | Uint8Array, dispatcher: Agent) {
  const answer = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-sentry-envelope', ...headers },
    body,
    dispatcher,
  });
  await answer.body.dump({ limit: MAX_ANSWER_BYTES });
  return {
    statusCode: answer.statusCode,
    headers: {
      'x-sentry-rate-limits': single(answer.headers['x-sentry-rate-limits']),
      'retry-after': single(answer.headers['retry-after']),
    },
  };
}

function single(header: string | string[] | undefined): string | null {
  return typeof header === 'string' ? header : null;
}
