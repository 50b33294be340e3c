import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { ConfigurationError } from '../../config/configuration-error.js';
import { isConnectionError } from '../../database/connection-error.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { BillingJournal } from '../journal/billing-journal.service.js';
import { MoneyDatabase } from '../money-database.js';
import { PriceVersions } from '../prices/price-versions.service.js';
import { BillingSessions } from '../session/billing-sessions.service.js';
import { SWEEP_LEASES } from '../leases/lease-statements.js';
import { Leases } from '../leases/leases.service.js';
import { Settler } from '../settle/settler.service.js';
import { ForgottenHolds } from './forgotten-holds.service.js';
import { GatewayInstance } from './gateway-instance.service.js';
import { JournalRecovery } from './journal-recovery.service.js';
import {
  HEARTBEAT,
  MARK_REPLAYED,
  PURGE_INSTANCES,
  PURGE_RESPONSES,
  REGISTER_INSTANCE,
  ROWS_AT_ONCE,
  SWEEP_ORPHANS,
} from './upkeep-statements.js';

const ROUND_MS = 5000;
/** Renewals, forgotten holds and purges: once in so many rounds. */
const THOROUGH_EVERY = 6;
/**
 * How long a start waits for the money of dead processes to be back, so that its first users do not miss it; and every
 * round, so that the next one comes in time to renew what this process holds (see OUT_OF_TOUCH_MS).
 */
const RECOVERY_LIMIT_MS = 15_000;
const LAST_DRAIN_MS = 10_000;
/** Purges in a round: the next heartbeat must not wait for all of a long backlog. */
const MOST_PURGES = 20;

/**
 * What billing does without being asked: says that it lives, takes over from those that do not, gives back what they held,
 * keeps the holds of long requests alive.
 */
@Injectable()
export class BillingUpkeep implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #logger = new Logger('Billing');
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  /** Until a round has seen the end of it. */
  #recovering: Promise<number> | undefined;
  #rounds = 0;
  #stopped = false;
  #currencyFault: ConfigurationError | undefined;

  constructor(
    private readonly database: MoneyDatabase,
    private readonly instance: GatewayInstance,
    private readonly journal: BillingJournal,
    private readonly settler: Settler,
    private readonly leases: Leases,
    private readonly recovery: JournalRecovery,
    private readonly forgotten: ForgottenHolds,
    private readonly sessions: BillingSessions,
    private readonly prices: PriceVersions,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    database.onOtherCurrency = (currency) => this.#refuseBooks(currency);
  }

  async onModuleInit(): Promise<void> {
    if (this.config.billing.enabled) await this.journal.open();
  }

  /** @throws ConfigurationError  when the books are kept in another currency than BILLING_CURRENCY */
  async onApplicationBootstrap(): Promise<void> {
    this.instance.begin();
    await Promise.race([this.#next(), sleep(RECOVERY_LIMIT_MS, undefined, { ref: false })]);
    if (!this.#currencyFault) return;
    await this.beforeApplicationShutdown();
    throw this.#currencyFault;
  }

  /** A clean end: everything booked, nothing held, and said so. What cannot be booked stays for the next start. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const running = Promise.allSettled([this.#round, this.#recovering]);
    await Promise.race([running, sleep(LAST_DRAIN_MS, undefined, { ref: false })]);
    await this.settler.drain({ timeoutMs: LAST_DRAIN_MS });
    await this.journal.close();
    if (this.settler.pending > 0) {
      this.#logger.warn(
        `${this.settler.pending} settlements could not be booked; the next start takes them from the journal`,
      );
      return;
    }
    if (this.#currencyFault) return this.journal.remove();
    try {
      await this.#leave();
    } catch (error) {
      if (!isConnectionError(error)) return this.#tell(error);
      this.#logger.warn(
        'the database is unavailable: the leases of this instance are given back by another one, or when they expire',
      );
    }
  }

  /** One round of everything that is due. */
  async runOnce(recoveryLimitMs = RECOVERY_LIMIT_MS): Promise<void> {
    await this.#beat();
    // First, and at once when it is back in touch: what it holds may be past its term, which others overlook only for a while.
    const isThorough =
      this.#rounds % THOROUGH_EVERY === 0 || !this.instance.isInTouch || this.#recovering !== undefined;
    if (isThorough) await this.forgotten.tend(this.sessions.holdingIds(), this.sessions.aliveIds());
    if (this.config.billing.enabled) await this.#recover(recoveryLimitMs);
    await this.#sweep();
    if (isThorough) {
      await this.#purgeResponses();
      await this.database.query(PURGE_INSTANCES);
    }
    this.#rounds += 1;
  }

  async #next(): Promise<void> {
    this.#round = this.runOnce().catch((error: unknown) => {
      if (!isConnectionError(error)) this.#tell(error);
    });
    await this.#round;
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#next(), ROUND_MS).unref();
  }

  async #beat(): Promise<void> {
    const sentMs = performance.now();
    const [row] = await this.database.query<Beat>(HEARTBEAT, [this.instance.id]);
    if (row?.fenced == null)
      await this.database.query(REGISTER_INSTANCE, [this.instance.id, this.instance.host]);
    else if (row.fenced && !this.instance.isFenced) {
      this.instance.fence();
      this.#tell(
        new Error(
          'this instance was declared dead while it was frozen or cut off; it accepts no more requests: restart it',
        ),
      );
    }
    if (this.instance.heard(sentMs, row?.now_ms, row?.server_since_ms)) this.prices.storeAgain();
  }

  /** A replay that takes longer goes on, and the next round waits for it again. */
  async #recover(limitMs: number): Promise<void> {
    this.#recovering ??= this.recovery.recover();
    let isOver = true;
    const late = sleep(limitMs, undefined, { ref: false }).then(() => void (isOver = false));
    try {
      await Promise.race([this.#recovering, late]);
    } finally {
      if (isOver) this.#recovering = undefined;
    }
  }

  #refuseBooks(currency: string): void {
    this.instance.fence();
    this.#currencyFault = new ConfigurationError([
      `BILLING_CURRENCY: the ledger of this database is kept in ${currency}, and amounts are not converted to ` +
        `${this.config.billing.currency}: set it back, or use another database`,
    ]);
    this.#tell(this.#currencyFault);
  }

  async #sweep(): Promise<void> {
    while ((await this.#free(SWEEP_ORPHANS)) === ROWS_AT_ONCE);
    while ((await this.#free(SWEEP_LEASES)) === ROWS_AT_ONCE);
  }

  async #purgeResponses(): Promise<void> {
    for (let purges = 0; purges < MOST_PURGES; purges += 1) {
      const [row] = await this.database.query<{ purged: number }>(PURGE_RESPONSES);
      if (row?.purged !== ROWS_AT_ONCE) return;
    }
  }

  /** @returns how many were given back */
  async #free(statement: string): Promise<number> {
    const mayTellByTime = this.instance.isInTouch && !this.#recovering;
    const [row] = await this.database.query<{ by_evidence: number; by_timer: number }>(statement, [
      mayTellByTime ? this.instance.databaseMs : undefined,
    ]);
    if (!row) return 0;
    if (row.by_evidence > 0) {
      this.telemetry.event({ kind: 'orphan-released', reason: 'evidence', count: row.by_evidence });
    }
    if (row.by_timer > 0)
      this.telemetry.event({ kind: 'orphan-released', reason: 'timer', count: row.by_timer });
    return row.by_evidence + row.by_timer;
  }

  async #leave(): Promise<void> {
    await this.leases.leave();
    await this.database.query(MARK_REPLAYED, [this.instance.id, this.instance.host]);
    await this.#sweep();
    if (this.settler.refused === 0) await this.journal.remove();
  }

  #tell(error: unknown): void {
    this.telemetry.event({ kind: 'unexpected-error', where: 'billing upkeep', error });
  }
}

interface Beat {
  fenced: boolean | null;
  now_ms: number;
  server_since_ms: number;
}
