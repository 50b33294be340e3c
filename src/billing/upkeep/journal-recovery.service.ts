import { Inject, Injectable, Logger } from '@nestjs/common';
import { appendFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { UUID } from '../../text/uuid.js';
import { crashPoint } from '../crash-points.js';
import { journalRoot } from '../journal/billing-journal.service.js';
import { type JournalContents, readJournal } from '../journal/journal-reader.js';
import { stateOfOwner } from '../journal/owner-file.js';
import { MoneyDatabase } from '../money-database.js';
import { PriceVersions } from '../prices/price-versions.service.js';
import type { SettlementRecord } from '../settle/settlement-record.js';
import { Settler } from '../settle/settler.service.js';
import { GatewayInstance, SILENCE_MS } from './gateway-instance.service.js';
import { LAST_HEARTBEAT, MARK_REPLAYED } from './upkeep-statements.js';

/**
 * Takes over the journals that dead processes left on this disk: books what they had settled, then declares them replayed.
 * That is the evidence on which the sweep frees what they still held. Two that take over the same journal at once do
 * the same work twice and nothing worse: every settlement may be booked any number of times.
 */
@Injectable()
export class JournalRecovery {
  readonly #logger = new Logger('Billing');

  constructor(
    private readonly database: MoneyDatabase,
    private readonly settler: Settler,
    private readonly prices: PriceVersions,
    private readonly instance: GatewayInstance,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** @returns the number of journals that were taken over */
  async recover(): Promise<number> {
    const root = journalRoot(this.config);
    const names = await readdir(root).catch((): string[] => []);
    let recovered = 0;
    for (const name of names) {
      if (name === this.instance.id || !UUID.test(name)) continue;
      const directory = join(root, name);
      if (!(await this.#isAbandoned(name, directory))) continue;
      if (await this.#takeOver(name, directory)) recovered += 1;
    }
    return recovered;
  }

  async #isAbandoned(instanceId: string, directory: string): Promise<boolean> {
    const owner = await stateOfOwner(directory);
    if (owner !== 'elsewhere') return owner === 'dead';
    // By the time of the last heartbeat, not by now(): the database's clock may have been set forward since.
    const { isInTouch, databaseMs } = this.instance;
    if (!isInTouch || databaseMs === undefined) return false;
    const [row] = await this.database.query<{ heard_ms: number }>(LAST_HEARTBEAT, [instanceId]);
    return row !== undefined && databaseMs - row.heard_ms > SILENCE_MS;
  }

  async #takeOver(instanceId: string, directory: string): Promise<boolean> {
    const contents = await readJournal(directory).catch(() => undefined);
    // Gone already: another process of this host was faster.
    if (!contents) return false;
    await this.prices.storeAll(contents.priceVersions);
    const refused = await this.#book(contents);
    if (refused.length > 0) await this.#setAside(instanceId, refused);
    crashPoint('before-replay-declared');
    await this.database.query(MARK_REPLAYED, [instanceId, this.instance.host]);
    crashPoint('after-replay-declared');
    await rm(directory, { recursive: true, force: true });
    this.#report(instanceId, contents);
    return true;
  }

  /** Resolves when each is booked or refused, however long the database stays away. */
  async #book({ settlements, answers }: JournalContents): Promise<SettlementRecord[]> {
    const results = settlements.map(
      (record) =>
        new Promise<SettlementRecord | undefined>((resolve) => {
          const onDone = (result: unknown): void => resolve(result === 'refused' ? record : undefined);
          this.settler.enqueue({
            record,
            answer: answers.get(record.id),
            onDone,
          });
        }),
    );
    return (await Promise.all(results)).filter((record) => record !== undefined);
  }

  /** For a human: what no database statement would take must not be lost with its directory. */
  async #setAside(instanceId: string, refused: readonly SettlementRecord[]): Promise<void> {
    const path = join(journalRoot(this.config), `refused-${instanceId}.jsonl`);
    await appendFile(path, refused.map((record) => `${JSON.stringify(record)}\n`).join(''), {
      mode: 0o600,
      flush: true,
    });
    this.#logger.error(
      `${refused.length} settlements were refused by the database; they are kept in ${path}`,
    );
  }

  #report(instanceId: string, contents: JournalContents): void {
    const { settlements, damagedRecords, tornSegments } = contents;
    const damage = damagedRecords > 0 ? `, ${damagedRecords} damaged records` : '';
    const torn = tornSegments > 0 ? ', torn tail' : '';
    this.#logger.log(
      `replayed the journal of ${instanceId}: ${settlements.length} settlements${damage}${torn}`,
    );
  }
}
