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
 * The ledger's audit without being asked, so that LedgerAuditMismatch can fire: of all living instances the oldest does it.
 * Without the recomputation of every charge, which is work for this process and not for the database. An instance that has
 * raised an alarm, because it was asked for an audit, audits too, with all that it has found wrong, until the alarm ends.
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
