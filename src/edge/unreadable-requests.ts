import { GatewayError, type GatewayErrorCode } from '@app/contracts';
import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { STATUS_CODES } from 'node:http';
import { uuidV7 } from './uuid-v7.js';

type Refusal = readonly [code: GatewayErrorCode, message: string];

const NOT_HTTP: Refusal = ['invalid_http_request', 'The request is not valid HTTP.'];
const REFUSALS: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'The headers are too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_incomplete', 'The request did not arrive in time.'],
};

/** Slow senders are looked for so often; Node's own 30 s would let them stay four times as long as they may. */
const SLOW_SENDERS_CHECK_MS = 2_000;
/** A refused sender has so long to read why, and to close its side. */
const LINGER_MS = 500;

/**
 * Limits for what arrives before there is a request, and the envelope for what never becomes one: Node refuses it itself,
 * with no word about why. To be called before the server listens.
 */
export function guardServer(server: Server): void {
  // Both are options of createServer, which is Nest's to call, and plain properties afterwards.
  Object.assign(server, { connectionsCheckingInterval: SLOW_SENDERS_CHECK_MS, requireHostHeader: false });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    const [code, message] = REFUSALS[error.code ?? ''] ?? NOT_HTTP;
    if (error.code === 'ECONNRESET' || !socket.writable || hasBegunToAnswer(socket)) socket.destroy();
    else {
      socket.end(refusal(new GatewayError(code, message)));
      // Node limits the time of requests; of what was none, a sender that stays would keep the connection for ever.
      setTimeout(() => socket.destroy(), LINGER_MS).unref();
    }
  });
  server.on('checkExpectation', (_request, response) => {
    const error = new GatewayError('expectation_failed', 'Only the expectation 100-continue is supported.');
    response.writeHead(error.status, {
      'Content-Type': JSON_TYPE,
      'x-request-id': uuidV7(),
      Connection: 'close',
    });
    response.end(JSON.stringify(error.toEnvelope()));
  });
}

const JSON_TYPE = 'application/json; charset=utf-8';

/** An answer under way must not get a second one in its middle. Node tells by this field only. */
function hasBegunToAnswer(socket: Duplex): boolean {
  return (socket as { _httpMessage?: { headersSent?: boolean } })._httpMessage?.headersSent === true;
}

function refusal(error: GatewayError): string {
  const body = JSON.stringify(error.toEnvelope());
  const head = [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
    `Content-Type: ${JSON_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${uuidV7()}`,
    'Connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
