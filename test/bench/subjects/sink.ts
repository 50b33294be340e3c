/**
 * Langfuse and Sentry as a process: `node sink.ts <port>`. Takes what it gets; after `GET /hang` it answers nobody any more
 * but goes on taking connections, until `GET /well`.
 */
import { createServer } from 'node:http';

let isHanging = false;

createServer((request, response) => {
  request.resume();
  if (request.url === '/hang' || request.url === '/well') {
    isHanging = request.url === '/hang';
    response.end();
    return;
  }
  request.on('end', () => {
    if (isHanging) return;
    response.writeHead(207, { 'content-type': 'application/json' });
    response.end('{"successes":[],"errors":[]}');
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
