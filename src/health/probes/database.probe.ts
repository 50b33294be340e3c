import type { DatabaseService } from '../../database/database.service.js';
import { outageReason } from '../../database/outage-reason.js';
import type { ComponentHealth, HealthProbe } from '../health-probe.js';

const SILENT = 'it does not answer';

/** What `DatabaseService` is needed for here. */
export type DatabasePort = Pick<DatabaseService, 'ping' | 'status'>;

/**
 * The database. Away, it costs the instance its readiness unless somebody can still be served without it: with billing
 * off, or while there is outage credit left. A question that waits for a connection while others are answered says that
 * the instance is busy, not that the database is away: taken out, it would make the other instances busier still.
 *
 * Without this version's tables nobody is served on credit: a rollout that forgot its migrations has to stop here. With
 * billing off nobody needs them.
 */
export class DatabaseProbe implements HealthProbe {
  readonly name = 'database';
  readonly critical = true;

  constructor(
    private readonly database: DatabasePort,
    private readonly servesWithout: () => boolean,
    private readonly isBilling = true,
  ) {}

  async check(signal: AbortSignal): Promise<ComponentHealth> {
    const startedMs = performance.now();
    const fault = await this.#fault(signal);
    const { embedded, ready, pool, lacksMigrations } = this.database.status();
    const isMissed = (lacksMigrations && this.isBilling) || !this.servesWithout();
    return {
      status: fault === undefined ? 'up' : isMissed ? 'down' : 'degraded',
      latencyMs: performance.now() - startedMs,
      details: {
        embedded,
        migrated: ready,
        pool,
        ...(fault !== undefined && { error: 'database_unavailable', reason: fault }),
      },
    };
  }

  /** @returns what is wrong; `undefined` when it answers */
  async #fault(signal: AbortSignal): Promise<string | undefined> {
    const { ready, lacksMigrations, reason } = this.database.status();
    if (lacksMigrations) return 'migrations are pending';
    if (!ready) return reason ?? SILENT;
    const askedMs = performance.now();
    const gaveUp = new Promise<string | undefined>((resolve) =>
      signal.addEventListener(
        'abort',
        () => resolve(this.database.status().lastAnswerMs > askedMs ? undefined : SILENT),
        { once: true },
      ),
    );
    return Promise.race([
      this.database.ping().then(
        () => undefined,
        (error: unknown) => outageReason(error) ?? SILENT,
      ),
      gaveUp,
    ]);
  }
}
