import { createServer } from 'node:net';

/**
 * Below every system's range for outgoing connections and for listeners that take any port. A server that is started again
 * on its port would else find it taken now and then by whoever asked for one meanwhile.
 */
const LOWEST = 15_000;
const HIGHEST = 32_000;
const TRIES = 200;

/** A TCP port of 127.0.0.1 that was free a moment ago. Another program may take it first: retry on EADDRINUSE. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (await isFree(port)) return port;
  }
  throw new Error('no free port');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
