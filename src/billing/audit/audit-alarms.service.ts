import { Injectable } from '@nestjs/common';
import { Telemetry } from '../../telemetry/telemetry.js';
import type { LedgerAudit } from './ledger-audit.js';

/** The failed checks that this instance has reported, and not yet as right again: an alarm has to end. */
@Injectable()
export class AuditAlarms {
  readonly #raised = new Set<string>();

  constructor(private readonly telemetry: Telemetry) {}

  /** Checks whose alarm only another audit by this instance can end. */
  get raised(): ReadonlySet<string> {
    return this.#raised;
  }

  /** Tells of each check that was made, also of those that hold. */
  report({ checks }: Pick<LedgerAudit, 'checks'>): void {
    for (const [check, count] of Object.entries(checks)) {
      if (count > 0) this.#raised.add(check);
      else this.#raised.delete(check);
      this.telemetry.event({ kind: 'audit-mismatch', check, count });
    }
  }
}
