import type { INestApplication, LoggerService } from '@nestjs/common';
import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppConfig } from '../config/app-config.js';
import { DrainState } from '../health/drain-state.js';
import { onStopSignal } from '../boot-signals.js';
import { InFlight } from './in-flight.js';

/** Kept-alive connections stay usable this long after the listener closed: their clients learn from `Connection: close`. */
const KEEP_ALIVE_LINGER_MS = 1_000;
const POLL_MS = 20;

/**
 * SIGTERM or SIGINT: not ready → no new connections → grace for what runs → settle and flush (module hooks) → exit 0.
 * A second signal exits at once. Nest's own shutdown hooks re-raise the signal before asynchronous work is done, so
 * they are not used.
 */
export function exitOnSignal(app: INestApplication, config: AppConfig, logger: LoggerService): void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) {
      logger.warn(`${signal} again: exiting at once`);
      process.exit(1);
    }
    stopping = true;
    logger.log(`${signal}: draining, at most ${config.http.shutdownGraceMs / 1000} s`);
    stop(app, config).then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error(error);
        process.exit(1);
      },
    );
  };
  onStopSignal(onSignal);
}

async function stop(app: INestApplication, config: AppConfig): Promise<void> {
  app.get(DrainState).draining = true;
  const server = app.getHttpServer() as Server;
  // Only the listener: http's own close() would also cut idle connections on which a request may just be arriving.
  NetServer.prototype.close.call(server);
  const inFlight = app.get(InFlight);
  const nowMs = performance.now();
  const lingerUntilMs = nowMs + KEEP_ALIVE_LINGER_MS;
  await inFlight.idle(config.http.shutdownGraceMs);
  inFlight.abortAll();
  while (performance.now() < lingerUntilMs && (await openConnections(server)) > 0) await sleep(POLL_MS);
  await inFlight.idle(KEEP_ALIVE_LINGER_MS);
  await allRead(server, nowMs + config.http.shutdownGraceMs);
  server.closeAllConnections();
  await app.close();
}

/** Of answers that are complete, the last bytes may still be on their way to a client that reads slowly, or never. */
async function allRead(server: Server, untilMs: number): Promise<void> {
  server.closeIdleConnections();
  while ((await openConnections(server)) > 0 && performance.now() < untilMs) {
    await sleep(POLL_MS);
    server.closeIdleConnections();
  }
}

function openConnections(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count ?? 0)));
}
