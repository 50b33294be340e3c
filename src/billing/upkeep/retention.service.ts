import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { isConnectionError } from '../../database/connection-error.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { OLDEST_INSTANCE } from '../audit/audit-statements.js';
import { MoneyDatabase } from '../money-database.js';
import { GatewayInstance } from './gateway-instance.service.js';
import { FORGET_OLD_HOLDS, FORGET_OLD_UNKNOWN_COSTS, PAGE } from './retention-statements.js';

/** Of a long backlog, before others have their turn. */
const MOST_PAGES = 20;
const SOON_MS = 5_000;
const LATER_MS = 60 * 60_000;
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000';
/** Ids tell when a request began; it ended later. */
const LONGEST_REQUEST_MS = 86_400_000;

/**
 * Takes away what is no evidence of money and older than BILLING_RETENTION_DAYS: holds that ended without a charge, and rows
 * of calls whose cost nobody knows. Of all living instances the oldest does it, a page at a time.
 */
@Injectable()
export class Retention implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #logger = new Logger('Billing');
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** What was looked at before need not be again: by the time it is looked at, it has ended. */
  #after = BEFORE_ALL;

  constructor(
    private readonly database: MoneyDatabase,
    private readonly instance: GatewayInstance,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  onApplicationBootstrap(): void {
    const { enabled, retentionMs } = this.config.billing;
    if (enabled && retentionMs > 0) this.#schedule(SOON_MS);
  }

  beforeApplicationShutdown(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** @returns whether there is more */
  async runOnce(): Promise<boolean> {
    const [oldest] = await this.database.query<{ id: string }>(OLDEST_INSTANCE);
    if (oldest?.id !== this.instance.id) return false;
    const { retentionMs } = this.config.billing;
    const before = firstIdOf(Date.now() - retentionMs - LONGEST_REQUEST_MS);
    const counts = { holds: 0, unknownCosts: 0 };
    let isMore = true;
    for (let pages = 0; isMore && pages < MOST_PAGES && !this.#stopped; pages += 1) {
      const [page] = await this.database.query<Page>(FORGET_OLD_HOLDS, [this.#after, before, retentionMs]);
      const [noted] = await this.database.query<{ gone: number }>(FORGET_OLD_UNKNOWN_COSTS, [
        before,
        retentionMs,
      ]);
      this.#after = page?.last ?? this.#after;
      counts.holds += page?.gone ?? 0;
      counts.unknownCosts += noted?.gone ?? 0;
      isMore = page?.read === PAGE || noted?.gone === PAGE;
    }
    this.#report(counts);
    return isMore;
  }

  #report({ holds, unknownCosts }: { holds: number; unknownCosts: number }): void {
    if (holds + unknownCosts === 0) return;
    this.#logger.log(
      `past BILLING_RETENTION_DAYS: ${holds} holds without a charge and ${unknownCosts} unknown costs are gone`,
    );
  }

  #schedule(afterMs: number): void {
    this.#timer = setTimeout(() => void this.#run(), afterMs).unref();
  }

  async #run(): Promise<void> {
    let isMore = false;
    try {
      isMore = await this.runOnce();
    } catch (error) {
      if (!isConnectionError(error)) {
        this.telemetry.event({
          kind: 'unexpected-error',
          where: 'billing retention',
          requestId: undefined,
          error,
        });
      }
    }
    if (!this.#stopped) this.#schedule(isMore ? SOON_MS : LATER_MS);
  }
}

interface Page {
  read: number;
  last: string | null;
  gone: number;
}

/** No id of that millisecond or later is less (UUID version 7). */
function firstIdOf(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
