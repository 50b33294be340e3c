import { formatNano, larger, type NanoUsd, smaller } from '@app/money';
import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { Telemetry } from '../../telemetry/telemetry.js';

/** One user gets at most this part of the instance's credit: when seen here with money, or never seen. */
const SHARE_OF_KNOWN = 10n;
const SHARE_OF_UNKNOWN = 100n;
/** The users seen last: at least so many, and at most twice as many. */
const USERS_REMEMBERED = 5000;

/**
 * What this instance may serve while Postgres is away: a bounded sum that the operator risks, so that an outage of the
 * store is not an outage of the gateway. Per user at most what they were last seen to have. It comes back when the
 * settlements that used it are booked.
 */
@Injectable()
export class OutageCredit implements OnModuleInit {
  readonly #logger = new Logger('Billing');
  readonly #usedBy = new Map<string, NanoUsd>();
  /**
   * What users were last seen to have, since the last turn and in the turn before. Two maps, because one from which entries
   * are deleted one by one is rebuilt again and again.
   */
  #available = new Map<string, NanoUsd>();
  #availableBefore = new Map<string, NanoUsd>();
  readonly #cap: NanoUsd;
  #used: NanoUsd = 0n;

  constructor(
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    const { outageMode, outageCreditNanoUsd } = config.billing;
    this.#cap = outageMode === 'degraded' ? outageCreditNanoUsd : 0n;
    telemetry.addGauge({ name: 'outage_credit_used', read: () => Number(this.#used) / 1e9 });
  }

  onModuleInit(): void {
    if (!this.config.billing.enabled || this.#cap === 0n) return;
    const sum = `${formatNano(this.#cap)} ${this.config.billing.currency}`;
    this.#logger.warn(
      `while the database is unavailable, this instance serves up to ${sum} on the operator's credit`,
    );
  }

  get usedNano(): NanoUsd {
    return this.#used;
  }

  /** Remembers what a user had free. */
  noteAvailable(userId: string, availableNano: NanoUsd): void {
    if (this.#cap === 0n) return;
    this.#available.set(userId, availableNano);
    if (this.#available.size < USERS_REMEMBERED) return;
    this.#availableBefore = this.#available;
    this.#available = new Map();
  }

  /** What this user may still be served on credit. */
  shareOf(userId: string): NanoUsd {
    const seen = this.#available.get(userId) ?? this.#availableBefore.get(userId);
    const share =
      seen === undefined ? this.#cap / SHARE_OF_UNKNOWN : smaller(this.#cap / SHARE_OF_KNOWN, seen);
    return larger(0n, smaller(share - (this.#usedBy.get(userId) ?? 0n), this.#cap - this.#used));
  }

  /** False, and nothing taken, when the user's share does not cover it. */
  take(userId: string, amountNano: NanoUsd): boolean {
    if (amountNano > this.shareOf(userId)) return false;
    this.#change(userId, amountNano);
    return true;
  }

  giveBack(userId: string, amountNano: NanoUsd): void {
    this.#change(userId, -amountNano);
  }

  #change(userId: string, byNano: NanoUsd): void {
    this.#used += byNano;
    const used = (this.#usedBy.get(userId) ?? 0n) + byNano;
    if (used > 0n) this.#usedBy.set(userId, used);
    else this.#usedBy.delete(userId);
    this.telemetry.event({ kind: 'outage-credit', usedNanoUsd: this.#used });
  }
}
