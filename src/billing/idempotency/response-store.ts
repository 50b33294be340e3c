import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { isConnectionError } from '../../database/connection-error.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { MoneyDatabase } from '../money-database.js';
import type { SettlementRecord } from '../settle/settlement-record.js';
import { ABANDON_CLAIM, STORE_CHARGED_RESPONSE, STORE_RESPONSE } from './idempotency-statements.js';
import { AnswerPacker } from './answer-packer.js';
import type { PackedAnswer } from './packed-answer.js';
import type { StoredResponse } from './stored-response.js';

const RETRY_MS = 1000;
/** Answers kept in memory while the database is away. Beyond that the oldest one's key is freed: it cost nothing. */
const MOST_UNSAVED = 200;

export interface ClaimedKey {
  readonly userId: string;
  readonly key: string;
  readonly fingerprint: string;
  readonly billingId: string;
}

interface Unsaved {
  readonly fingerprint: string;
  readonly response: StoredResponse;
}

/**
 * Stores answers where every instance finds them. One that was charged comes with its settlement, which is repeated until
 * both are booked. One that cost nothing, or a key to be freed, is kept in memory while the database is away.
 */
@Injectable()
export class ResponseStore implements OnApplicationShutdown {
  /** By claim; `undefined` = the claim is to be given up. */
  readonly #unsaved = new Map<ClaimedKey, StoredResponse | undefined>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly database: MoneyDatabase,
    private readonly packer: AnswerPacker,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /**
   * The answer of a settlement that is booked.
   *
   * @throws GatewayError `database_unavailable`: come again
   */
  async saveCharged(record: SettlementRecord, answer: PackedAnswer): Promise<void> {
    try {
      await this.database.query(STORE_CHARGED_RESPONSE, [
        record.user_id,
        record.idem_key,
        record.fingerprint,
        record.id,
        record.instance_id,
        answer.stream,
        answer.status,
        JSON.stringify(answer.headers),
        answer.body,
        this.config.billing.idempotencyTtlMs,
      ]);
    } catch (error) {
      if (isConnectionError(error)) throw error;
      this.#tell(error);
    }
  }

  /** Resolves when it is stored or, while the database is away, kept to be stored later. */
  save(claim: ClaimedKey, response: StoredResponse): Promise<void> {
    return this.#do(claim, response);
  }

  /** Frees the key. */
  giveUp(claim: ClaimedKey): Promise<void> {
    return this.#do(claim, undefined);
  }

  /** An answer that is complete here and not in the database yet. */
  unsaved(userId: string, key: string): Unsaved | undefined {
    for (const [claim, response] of this.#unsaved) {
      if (response && claim.userId === userId && claim.key === key)
        return { fingerprint: claim.fingerprint, response };
    }
    return undefined;
  }

  onApplicationShutdown(): void {
    clearTimeout(this.#timer);
  }

  async #do(claim: ClaimedKey, response: StoredResponse | undefined): Promise<void> {
    try {
      await this.#write(claim, response);
    } catch (error) {
      if (isConnectionError(error)) this.#keep(claim, response);
      else this.#tell(error);
    }
  }

  async #write({ userId, key, billingId }: ClaimedKey, response: StoredResponse | undefined): Promise<void> {
    if (!response) {
      await this.database.query(ABANDON_CLAIM, [userId, key, billingId]);
      return;
    }
    const { body } = await this.packer.pack(response, { userId, key });
    const headers = JSON.stringify(response.headers);
    const termMs = this.config.billing.idempotencyTtlMs;
    await this.database.query(STORE_RESPONSE, [
      userId,
      key,
      billingId,
      response.status,
      headers,
      body,
      termMs,
    ]);
  }

  #keep(claim: ClaimedKey, response: StoredResponse | undefined): void {
    this.#unsaved.set(claim, response);
    const answered = [...this.#unsaved].filter(([, kept]) => kept);
    const [oldest] = answered;
    if (oldest && answered.length > MOST_UNSAVED) this.#unsaved.set(oldest[0], undefined);
    this.#timer ??= setTimeout(() => void this.#retry(), RETRY_MS).unref();
  }

  async #retry(): Promise<void> {
    this.#timer = undefined;
    for (const [claim, response] of this.#unsaved) {
      try {
        await this.#write(claim, response);
      } catch (error) {
        if (isConnectionError(error)) break;
        this.#tell(error);
      }
      this.#unsaved.delete(claim);
    }
    if (this.#unsaved.size > 0) this.#timer ??= setTimeout(() => void this.#retry(), RETRY_MS).unref();
  }

  /** The database refuses it: the client has had its answer, and asking for it again gives 409. */
  #tell(error: unknown): void {
    this.telemetry.event({ kind: 'unexpected-error', where: 'idempotent answer', error });
  }
}
