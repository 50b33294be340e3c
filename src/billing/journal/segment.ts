import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { JournalFiles } from './journal-files.js';

export const SEGMENT_SUFFIX = '.journal';

/** One file of the journal: fixed in size, written from front to back by one writer. */
export class Segment {
  /** Records in it that are not booked yet; at zero, and no longer written to, the file can go. */
  unbooked = 0;
  #position = 0;

  private constructor(
    private readonly files: JournalFiles,
    readonly path: string,
    private readonly fd: number,
    private readonly bytes: number,
  ) {}

  static async create(
    files: JournalFiles,
    directory: string,
    number: number,
    bytes: number,
  ): Promise<Segment> {
    const path = join(directory, `${String(number).padStart(6, '0')}${SEGMENT_SUFFIX}`);
    return new Segment(files, path, await files.create(path, directory, bytes), bytes);
  }

  hasRoomFor(bytes: number): boolean {
    return this.#position + bytes <= this.bytes;
  }

  async write(data: Buffer, durably: boolean): Promise<void> {
    await this.files.write(this.fd, data, this.#position);
    this.#position += data.length;
    if (durably) await this.files.sync(this.fd);
  }

  async close(): Promise<void> {
    await this.files.close(this.fd).catch(() => undefined);
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }
}
