/**
 * Stands in for Sentry and Langfuse: `node telemetry-backend.ts <behaviour>=<port> …`. Reads what it is sent and answers as its
 * port's behaviour says: `ok`, `slow` (after two seconds), `error` (500) or `hang` (never).
 */
import { createServer, type ServerResponse } from 'node:http';

const SLOW_MS = 2_000;

const ANSWERS: Readonly<Record<string, (response: ServerResponse) => void>> = {
  ok: accept,
  slow: (response) => void setTimeout(() => accept(response), SLOW_MS),
  error: (response) => void response.writeHead(500, { 'content-type': 'application/json' }).end('{}'),
  hang: () => undefined,
};

for (const argument of process.argv.slice(2)) {
  const [behaviour = '', port] = argument.split('=');
  const answer = ANSWERS[behaviour];
  if (!answer) throw new Error(`${behaviour} is no behaviour`);
  createServer((request, response) => request.on('end', () => answer(response)).resume()).listen(
    Number(port),
    '127.0.0.1',
  );
}

/** Both are content with it. */
function accept(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{"successes":[],"errors":[]}');
}
