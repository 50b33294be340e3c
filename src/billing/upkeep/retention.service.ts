import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { MoneyDatabase } from '../money-database.js';
import { GatewayInstance } from './gateway-instance.service.js';
import { RecurringWork } from './recurring-work.js';
import { FORGET_OLD_HOLDS, FORGET_WRITTEN_OFF, PAGE } from './retention-statements.js';
import { OLDEST_INSTANCE } from './upkeep-statements.js';

/** In one round of a long backlog. */
const MOST_PAGES = 20;
const SOON_MS = 5_000;
const LATER_MS = 60 * 60_000;
/** Ids tell when a request began; it ended later. */
const LONGEST_REQUEST_MS = 86_400_000;

/**
 * Removes what is older than BILLING_RETENTION_DAYS and no evidence of money: holds that ended without a charge, and calls
 * of unknown cost that were written off. The oldest living instance does it, a page at a time.
 */
@Injectable()
export class Retention implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #logger = new Logger('Billing');
  readonly #work: RecurringWork;

  constructor(
    private readonly database: MoneyDatabase,
    private readonly instance: GatewayInstance,
    telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    this.#work = new RecurringWork('billing retention', telemetry, LATER_MS, async () =>
      (await this.runOnce()) ? SOON_MS : undefined,
    );
  }

  onApplicationBootstrap(): void {
    const { enabled, retentionMs } = this.config.billing;
    if (enabled && retentionMs > 0) this.#work.start(SOON_MS);
  }

  beforeApplicationShutdown(): void {
    this.#work.stop();
  }

  /** @returns whether there is more */
  async runOnce(): Promise<boolean> {
    const [oldest] = await this.database.query<{ id: string }>(OLDEST_INSTANCE);
    if (oldest?.id !== this.instance.id) return false;
    const { retentionMs } = this.config.billing;
    const before = firstIdOf(Date.now() - retentionMs - LONGEST_REQUEST_MS);
    const counts = { holds: 0, writtenOff: 0 };
    let isMore = true;
    for (let pages = 0; isMore && pages < MOST_PAGES && !this.#work.isStopped; pages += 1) {
      const [holds] = await this.database.query<Page>(FORGET_OLD_HOLDS, [
        this.instance.id,
        before,
        retentionMs,
      ]);
      const [calls] = await this.database.query<{ gone: number }>(FORGET_WRITTEN_OFF, [retentionMs]);
      counts.holds += holds?.gone ?? 0;
      counts.writtenOff += calls?.gone ?? 0;
      isMore = holds?.read === PAGE || calls?.gone === PAGE;
    }
    this.#report(counts);
    return isMore;
  }

  #report({ holds, writtenOff }: { holds: number; writtenOff: number }): void {
    if (holds + writtenOff === 0) return;
    this.#logger.log(
      `past BILLING_RETENTION_DAYS: ${holds} holds without a charge and ${writtenOff} calls of unknown cost that were ` +
        'written off were deleted',
    );
  }
}

interface Page {
  read: number;
  gone: number;
}

/** No id of that millisecond or later is less (UUID version 7). */
function firstIdOf(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
