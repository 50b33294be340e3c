import type { DatabaseService } from '../../database/database.service.js';
import type { ComponentHealth, HealthProbe } from '../health-probe.js';

/** What `DatabaseService` is needed for here. */
export type DatabasePort = Pick<DatabaseService, 'ping' | 'status'>;

/**
 * The database. Away, it costs the instance its readiness unless somebody can still be served without it: with billing
 * off, or while there is outage credit left. A question that waits for a connection while others are answered says that
 * the instance is busy, not that the database is away: taken out, it would make the other instances busier still.
 */
export class DatabaseProbe implements HealthProbe {
  readonly name = 'database';
  readonly critical = true;

  constructor(
    private readonly database: DatabasePort,
    private readonly servesWithout: () => boolean,
  ) {}

  async check(signal: AbortSignal): Promise<ComponentHealth> {
    const startedMs = performance.now();
    const isUp = await this.#answers(signal);
    const { embedded, ready, pool } = this.database.status();
    return {
      status: isUp ? 'up' : this.servesWithout() ? 'degraded' : 'down',
      latencyMs: performance.now() - startedMs,
      details: { embedded, migrated: ready, pool, ...(!isUp && { error: 'database_unavailable' }) },
    };
  }

  async #answers(signal: AbortSignal): Promise<boolean> {
    if (!this.database.status().ready) return false;
    const askedMs = performance.now();
    const gaveUp = new Promise<boolean>((resolve) =>
      signal.addEventListener('abort', () => resolve(this.database.status().lastAnswerMs > askedMs), {
        once: true,
      }),
    );
    return Promise.race([
      this.database.ping().then(
        () => true,
        () => false,
      ),
      gaveUp,
    ]);
  }
}
