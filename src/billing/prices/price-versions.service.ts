import { type PriceCard, priceCardFromJson, type PriceCardJson, priceCardToJson } from '@app/money';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import type { QuoteTarget } from '../billing-session.js';
import { MoneyDatabase } from '../money-database.js';
import type { StoredPriceVersion } from '../journal/journal-record.js';

const STORE_VERSIONS = `
  INSERT INTO price_version (id, provider, model, card, currency)
  SELECT id, provider, model, card, currency
    FROM jsonb_to_recordset($1::jsonb) AS (id text, provider text, model text, card jsonb, currency text) ORDER BY id
  ON CONFLICT DO NOTHING`;

const READ_VERSION = `SELECT card FROM price_version WHERE id = $1`;

/**
 * Price cards by version. Every version a hold refers to is stored before its first charge, so that each charge can be
 * derived again later; a version never changes, so a card is read at most once.
 */
@Injectable()
export class PriceVersions {
  readonly #cards = new Map<string, PriceCard>();
  readonly #unstored = new Map<string, StoredPriceVersion>();
  readonly #stored = new Map<string, StoredPriceVersion>();

  constructor(
    private readonly database: MoneyDatabase,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** Notes the card behind a target's version. Cheap when it is known. */
  remember(target: QuoteTarget, card: PriceCard): void {
    if (this.#cards.has(target.priceVersion)) return;
    this.#cards.set(target.priceVersion, card);
    this.#unstored.set(target.priceVersion, {
      id: target.priceVersion,
      provider: target.provider,
      model: target.upstreamModel,
      card: priceCardToJson(card),
      currency: this.config.billing.currency,
    });
  }

  /** Versions that the database does not have yet. */
  get unstored(): readonly StoredPriceVersion[] {
    return [...this.#unstored.values()];
  }

  /** False, nearly always: then there is nothing to wait for. */
  get hasUnstored(): boolean {
    return this.#unstored.size > 0;
  }

  /** Stores what is not stored. No statement at all when there is nothing, which is nearly always. */
  async store(): Promise<void> {
    if (this.#unstored.size === 0) return;
    const versions = this.unstored;
    await this.storeAll(versions);
    for (const version of versions) {
      this.#unstored.delete(version.id);
      this.#stored.set(version.id, version);
    }
  }

  /** For a database that may have lost its latest rows: whatever was stored is stored once more, with the next charge. */
  storeAgain(): void {
    for (const [id, version] of this.#stored) this.#unstored.set(id, version);
    this.#stored.clear();
  }

  async storeAll(versions: readonly StoredPriceVersion[]): Promise<void> {
    if (versions.length > 0) await this.database.query(STORE_VERSIONS, [JSON.stringify(versions)]);
  }

  /** @returns `undefined` for a version nobody ever stored */
  async find(version: string): Promise<PriceCard | undefined> {
    const known = this.#cards.get(version);
    if (known) return known;
    const [row] = await this.database.query<{ card: PriceCardJson }>(READ_VERSION, [version]);
    if (!row) return undefined;
    const card = priceCardFromJson(row.card);
    this.#cards.set(version, card);
    return card;
  }

  /** Without asking the database. */
  peek(version: string): PriceCard | undefined {
    return this.#cards.get(version);
  }
}
