import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { MoneyDatabase } from '../money-database.js';
import { GatewayInstance } from '../upkeep/gateway-instance.service.js';
import { RecurringWork } from '../upkeep/recurring-work.js';
import { OLDEST_INSTANCE } from '../upkeep/upkeep-statements.js';
import { AuditAlarms } from './audit-alarms.service.js';
import { RECOMPUTED_CHECK, runLedgerAudit } from './ledger-audit.js';

/** A fleet that is deployed more often than it audits would never audit. */
const FIRST_AFTER_MS = 10 * 60_000;

/**
 * Audits the ledger unasked, so that LedgerAuditMismatch can fire. The oldest living instance does it, without working out
 * every charge again, which would be this process's work instead of the database's. An instance that has raised an alarm in
 * an audit it was asked for goes on auditing, with the check that failed, until the alarm ends.
 */
@Injectable()
export class ScheduledAudit implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #work: RecurringWork;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly database: MoneyDatabase,
    private readonly instance: GatewayInstance,
    telemetry: Telemetry,
    private readonly alarms: AuditAlarms,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    const { auditIntervalMs } = config.billing;
    this.#work = new RecurringWork('ledger audit', telemetry, auditIntervalMs, () =>
      this.runOnce().then(() => undefined),
    );
  }

  onApplicationBootstrap(): void {
    const { enabled, auditIntervalMs } = this.config.billing;
    if (enabled && auditIntervalMs > 0) this.#work.start(Math.min(auditIntervalMs, FIRST_AFTER_MS));
  }

  beforeApplicationShutdown(): void {
    this.#work.stop();
  }

  /** @returns whether this instance had to */
  async runOnce(): Promise<boolean> {
    const [oldest] = await this.database.query<{ id: string }>(OLDEST_INSTANCE);
    const { raised } = this.alarms;
    if (oldest?.id !== this.instance.id && raised.size === 0) return false;
    const recompute = raised.has(RECOMPUTED_CHECK);
    this.alarms.report(await runLedgerAudit(this.dataSource, { examples: 0, recompute }));
    return true;
  }
}
