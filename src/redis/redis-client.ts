import { type Command, Redis, type RedisOptions } from 'ioredis';
import { whenNotAnswered } from '../timing/late-reading.js';

/** Injection token of the shared `Redis` client on the hot path, `undefined` when no Redis is configured. */
export const REDIS = Symbol('REDIS');

/** Every hot-path command ends within this: an answer or an error, also when Redis is frozen. */
const REDIS_COMMAND_TIMEOUT_MS = 40;
const CONNECT_TIMEOUT_MS = 2000;
const FIRST_RECONNECT_MS = 50;
const MAX_RECONNECT_MS = 1000;
/** Between two connections for the sake of a failover: a replica that stays one would be connected to ten times a second. */
const FAILOVER_RECONNECT_MS = 5_000;
/** Finds a host that vanished without closing its connections. */
const KEEP_ALIVE_MS = 10_000;

/**
 * A client that never makes a request wait for a Redis that is not there: nothing is queued while it is away, a
 * command is sent once, and each has its deadline. It reconnects by itself for as long as the process lives.
 *
 * @param address  `redis://…`, `rediss://…` or the path of a unix socket
 */
export function createRedis(address: string, options: RedisOptions = {}): Redis {
  const redis = new PatientRedis(address, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: REDIS_COMMAND_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepAlive: KEEP_ALIVE_MS,
    retryStrategy: (attempt) => Math.min(FIRST_RECONNECT_MS * 2 ** attempt, MAX_RECONNECT_MS),
    reconnectOnError: reconnectAfterFailover(),
    connectionName: 'llm-gateway',
    ...options,
  });
  // Without a listener ioredis prints every failed connect; RedisStatus tells of them instead.
  redis.on('error', () => undefined);
  return redis;
}

/** After a failover the old connection may lead to a replica, or to a primary that was cut off: they take no writes. */
function reconnectAfterFailover(): (error: Error) => boolean {
  let lastMs = Number.NEGATIVE_INFINITY;
  return ({ message }) => {
    if (!/^(READONLY|MASTERDOWN|NOREPLICAS|CLUSTERDOWN)/.test(message)) return false;
    if (performance.now() - lastMs < FAILOVER_RECONNECT_MS) return false;
    lastMs = performance.now();
    return true;
  };
}

/** Takes what Redis answered in time, however late this process comes to read it. */
class PatientRedis extends Redis {
  override sendCommand(...[command, stream]: Parameters<Redis['sendCommand']>): unknown {
    command.setTimeout = giveUpAfterReading;
    return super.sendCommand(command, stream);
  }
}

function giveUpAfterReading(this: Command, timeoutMs: number): void {
  const timer = whenNotAnswered(timeoutMs, () => {
    if (!this.isResolved) this.reject(new Error('Command timed out'));
  });
  const clear = (): void => clearTimeout(timer);
  this.promise.then(clear, clear);
}

/** Resolves when the client is connected, or after `timeoutMs`: a gateway starts without its Redis too. */
export async function waitUntilReady(redis: Redis, timeoutMs: number): Promise<boolean> {
  if (redis.status === 'ready') return true;
  return new Promise((resolve) => {
    const settle = (isReady: boolean): void => {
      clearTimeout(timer);
      redis.off('ready', onReady);
      resolve(isReady);
    };
    const onReady = (): void => settle(true);
    const timer = setTimeout(() => settle(false), timeoutMs);
    redis.once('ready', onReady);
  });
}

/** Says goodbye where there is somebody to hear it, and lets go of the socket either way. */
export async function closeRedis(redis: Redis): Promise<void> {
  try {
    if (redis.status === 'ready') await redis.quit();
  } catch {
    // frozen or gone: the disconnect below is enough
  } finally {
    redis.disconnect();
  }
}
