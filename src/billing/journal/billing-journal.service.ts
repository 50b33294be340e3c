import { Inject, Injectable } from '@nestjs/common';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { ConfigurationError } from '../../config/configuration-error.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { GatewayInstance } from '../upkeep/gateway-instance.service.js';
import type { JournalRecord } from './journal-record.js';
import { type JournalMark, JournalWriter } from './journal-writer.js';
import { writeOwner } from './owner-file.js';

/** The journal directories of every gateway process on this disk. */
export function journalRoot(config: AppConfig): string {
  return join(config.dataDir, 'journal');
}

/**
 * This process's own journal: `DATA_DIR/journal/<instance>/`, made at boot, removed by a clean end. One writer per
 * directory by construction, since no other process ever has the name.
 */
@Injectable()
export class BillingJournal {
  readonly directory: string;
  #writer: JournalWriter | undefined;

  constructor(
    instance: GatewayInstance,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    this.directory = join(journalRoot(config), instance.id);
  }

  /** @throws ConfigurationError  when DATA_DIR cannot be written: a gateway that could not book what it serves does not start */
  async open(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      // Nothing is in it yet, and a start that is tried again and again must not fill what is left of the disk.
      await rm(this.directory, { recursive: true, force: true }).catch(() => undefined);
      if (!(error instanceof Error) || !('syscall' in error)) throw error;
      throw new ConfigurationError([
        `DATA_DIR: the billing journal ${this.directory} cannot be written (${error.message}): free space on its disk, or fix its permissions`,
      ]);
    }
  }

  async #open(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await writeOwner(this.directory);
    this.#writer = await JournalWriter.open(this.directory, {
      onFault: (error) => this.telemetry.event({ kind: 'unexpected-error', where: 'billing journal', error }),
    });
  }

  get isHealthy(): boolean {
    return this.#writer?.isHealthy ?? false;
  }

  /** @param record  must not change any more @returns when it is on the disk */
  append(record: JournalRecord): Promise<JournalMark> {
    return this.#writer
      ? this.#writer.append(record)
      : Promise.reject(new Error('the billing journal is not open'));
  }

  note(record: JournalRecord): void {
    this.#writer?.note(record);
  }

  booked(marks: readonly JournalMark[], ids: readonly string[]): void {
    if (marks.length === 0) return;
    this.note({ t: 'D', ids });
    this.#writer?.booked(marks);
  }

  async close(): Promise<void> {
    await this.#writer?.close();
    this.#writer = undefined;
  }

  /** After a clean end, when everything in it is booked. */
  remove(): Promise<void> {
    return rm(this.directory, { recursive: true, force: true });
  }
}
