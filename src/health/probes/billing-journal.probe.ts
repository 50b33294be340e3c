import { access } from 'node:fs/promises';
import type { BillingJournal } from '../../billing/journal/billing-journal.service.js';
import type { Settler } from '../../billing/settle/settler.service.js';
import type { GatewayInstance } from '../../billing/upkeep/gateway-instance.service.js';
import type { ComponentHealth, HealthProbe } from '../health-probe.js';

const LATE_SECONDS = 60;

/**
 * Where charges become durable. An instance that cannot write it, or that others declared dead, could not book what it
 * serves, so it takes no traffic. Charges that only wait for the database are safe. Files in a folder that was removed can still be written
 * to without an error, but nobody would find them after a crash.
 */
export class BillingJournalProbe implements HealthProbe {
  readonly name = 'billing_journal';
  readonly critical = true;

  constructor(
    private readonly journal: Pick<BillingJournal, 'isHealthy' | 'directory'>,
    private readonly instance: Pick<GatewayInstance, 'isFenced'>,
    private readonly settler: Pick<Settler, 'pending' | 'oldestSeconds'>,
  ) {}

  async check(): Promise<ComponentHealth> {
    const reason = await this.#fault();
    const isLate = this.settler.oldestSeconds > LATE_SECONDS;
    return {
      status: reason !== undefined ? 'down' : isLate ? 'degraded' : 'up',
      latencyMs: 0,
      details: {
        writable: this.journal.isHealthy,
        fenced: this.instance.isFenced,
        unsettled_records: this.settler.pending,
        oldest_seconds: Math.round(this.settler.oldestSeconds),
        ...(reason !== undefined && { reason }),
      },
    };
  }

  async #fault(): Promise<string | undefined> {
    if (this.instance.isFenced) return 'this instance was declared dead';
    if (!this.journal.isHealthy) return 'its disk is full or cannot be written';
    return access(this.journal.directory).then(
      () => undefined,
      () => 'its folder is gone',
    );
  }
}
