import { setImmediate as immediately } from 'node:timers/promises';
import type { JournalRecord } from './journal-record.js';
import { encodedBytes, encodeRecord, MAX_RECORD_BYTES } from './record-codec.js';
import { DISK, type JournalFiles } from './journal-files.js';
import { Segment } from './segment.js';

export interface JournalWriterOptions {
  readonly segmentBytes?: number;
  readonly files?: JournalFiles;
  readonly onFault?: (error: unknown) => void;
}

/** Where an unbooked record lies. Given back with `booked`. */
export interface JournalMark {
  readonly segment: Segment;
}

/** A record on its way. It becomes text when its group is written: all at once is faster. */
interface Line {
  readonly record: JournalRecord;
  text: string;
  bytes: number;
  /** Absent for a note: nobody waits for it. */
  readonly resolve: ((mark: JournalMark) => void) | undefined;
  readonly reject: ((error: unknown) => void) | undefined;
}

const DEFAULT_SEGMENT_BYTES = 8 * 1024 * 1024;
const GROUP_BYTES = 1024 * 1024;
/**
 * Where lines come this fast, a write waits for more of them, until there are enough or for a millisecond: it costs a tenth
 * of a millisecond of CPU whatever is in it, and a fast disk makes one of every few lines. With 64 requests in flight that
 * is 6 % of the CPU on a disk that answers at once, and nothing on one that takes milliseconds, whose groups are large anyway.
 * Where the process has time to spare, nobody waits.
 */
const CROWDED_LINES_PER_MS = 4;
const ENOUGH_LINES = 16;
const GATHER_MS = 1;
const RATE_WINDOW_MS = 10;
const NOTE_DELAY_MS = 50;
const RETRY_MS = 1000;
/** A record without meaning, to try whether the disk is back. */
const PROBE: JournalRecord = { t: 'D', ids: [] };
const ignore = (): void => undefined;

/**
 * The journal of one process: what must survive it is on the disk before anybody is told.
 *
 * Group commit: while one write is being synced, further lines gather and go together in the next. Segments have their
 * space before they are written to, and one spare is always ready, so that a full disk stops new requests and not the
 * settlement of those in flight. A failed write or sync condemns its segment (Linux drops pages it could not write, and a
 * second sync would succeed without them): the group is written again to another one.
 */
export class JournalWriter {
  readonly #pending: Line[] = [];
  readonly #retired = new Set<Segment>();
  readonly #removals = new Set<Promise<void>>();
  #running: Promise<void> | undefined;
  #noteTimer: NodeJS.Timeout | undefined;
  #active: Segment;
  #spare: Promise<Segment | undefined>;
  #nextNumber = 1;
  #spareIsMissing = false;
  #canWrite = true;
  #closed = false;
  #isCrowded = false;
  #linesOfWindow = 0;
  #windowStartMs = 0;
  #stopGathering: (() => void) | undefined;

  private constructor(
    private readonly directory: string,
    private readonly segmentBytes: number,
    private readonly files: JournalFiles,
    private readonly onFault: (error: unknown) => void,
  ) {}

  /** @param directory  exists, is empty and belongs to this process alone */
  static async open(directory: string, options: JournalWriterOptions = {}): Promise<JournalWriter> {
    const { segmentBytes = DEFAULT_SEGMENT_BYTES, files = DISK, onFault = () => undefined } = options;
    const writer = new JournalWriter(directory, segmentBytes, files, onFault);
    writer.#active = await writer.#createSegment();
    writer.#spare = writer.#prepareSpare();
    await writer.#spare;
    return writer;
  }

  /** False when a record could not be made safe, or the next segment could not be prepared: take no new requests. */
  get isHealthy(): boolean {
    return this.#canWrite && !this.#spareIsMissing;
  }

  /**
   * Writes a record; resolves when it is on the disk. Its segment stays until `booked`.
   *
   * @param record  does not change any more
   * @throws RangeError for a record larger than a segment; what the disk said, when two segments in a row failed
   */
  append(record: JournalRecord): Promise<JournalMark> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ record, text: '', bytes: 0, resolve, reject });
      this.#wake();
      if (this.#pending.length >= ENOUGH_LINES) this.#stopGathering?.();
    });
  }

  /** Writes a record some time soon; nobody waits for it and nothing depends on it. */
  note(record: JournalRecord): void {
    this.#pending.push({ record, text: '', bytes: 0, resolve: undefined, reject: undefined });
    this.#noteTimer ??= setTimeout(() => this.#wake(), NOTE_DELAY_MS).unref();
  }

  /** The record behind each mark is booked: segments without unbooked records are removed. */
  booked(marks: Iterable<JournalMark>): void {
    for (const { segment } of marks) {
      segment.unbooked -= 1;
      if (segment.unbooked === 0 && this.#retired.delete(segment)) {
        const removal = segment
          .remove()
          .catch((error: unknown) => this.onFault(error))
          .finally(() => this.#removals.delete(removal));
        this.#removals.add(removal);
      }
    }
  }

  /** Writes what is pending and closes the files; they stay. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    this.#stopGathering?.();
    await this.#running;
    await Promise.all(this.#removals);
    const spare = await this.#spare;
    await Promise.all(
      [this.#active, ...this.#retired, ...(spare ? [spare] : [])].map((segment) => segment.close()),
    );
  }

  #wake(): void {
    clearTimeout(this.#noteTimer);
    this.#noteTimer = undefined;
    // After the sockets that can be read now, so that what comes together goes together.
    this.#running ??= immediately()
      .then(() => this.#run())
      .finally(() => {
        this.#running = undefined;
        if (this.#pending.some((line) => line.resolve)) this.#wake();
      });
  }

  async #run(): Promise<void> {
    while (this.#pending.length > 0) {
      await this.#gather();
      const group = this.#takeGroup();
      if (group.length === 0) continue;
      try {
        await this.#commit(group);
        this.#canWrite = true;
      } catch (error) {
        this.#canWrite = false;
        this.onFault(error);
        for (const line of group) line.reject?.(error);
        this.#later(() => void this.append(PROBE).then((mark) => this.booked([mark]), ignore));
      }
    }
  }

  /** Resolves at once, unless lines come so fast that a write had better wait for the next ones. */
  async #gather(): Promise<void> {
    if (this.#isCrowded && this.#pending.length < ENOUGH_LINES && !this.#closed) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, GATHER_MS);
        this.#stopGathering = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#stopGathering = undefined;
    }
    this.#linesOfWindow += this.#pending.length;
    const windowMs = performance.now() - this.#windowStartMs;
    if (windowMs < RATE_WINDOW_MS) return;
    this.#isCrowded = this.#linesOfWindow >= CROWDED_LINES_PER_MS * windowMs;
    this.#linesOfWindow = 0;
    this.#windowStartMs += windowMs;
  }

  /** What goes in one write. Empty when all that waits is too large for the journal. */
  #takeGroup(): Line[] {
    const limit = Math.min(GROUP_BYTES, this.segmentBytes);
    const largest = Math.min(this.segmentBytes, MAX_RECORD_BYTES);
    const group: Line[] = [];
    let taken = 0;
    let bytes = 0;
    for (const line of this.#pending) {
      if (line.text === '') toText(line);
      if (line.bytes <= largest) {
        if (group.length > 0 && bytes + line.bytes > limit) break;
        bytes += line.bytes;
        group.push(line);
      } else line.reject?.(new RangeError('a journal record this large is not for the journal'));
      taken += 1;
    }
    this.#pending.splice(0, taken);
    return group;
  }

  async #commit(group: readonly Line[]): Promise<void> {
    const data = Buffer.allocUnsafe(group.reduce((sum, line) => sum + line.bytes, 0));
    let offset = 0;
    for (const line of group) offset = encodeRecord(data, offset, line.text);
    const durably = group.some((line) => line.resolve);
    if (!this.#active.hasRoomFor(data.length)) await this.#rotate();
    try {
      await this.#active.write(data, durably);
    } catch (error) {
      this.onFault(error);
      await this.#rotate();
      await this.#active.write(data, durably);
    }
    const mark = { segment: this.#active };
    for (const line of group) {
      if (!line.resolve) continue;
      mark.segment.unbooked += 1;
      line.resolve(mark);
    }
  }

  async #rotate(): Promise<void> {
    const old = this.#active;
    // A spare that could not be made before may be possible now.
    this.#active = (await this.#spare) ?? (await this.#createSegment());
    this.#spare = this.#prepareSpare();
    if (old.unbooked === 0) await old.remove();
    else this.#retired.add(old);
  }

  async #prepareSpare(): Promise<Segment | undefined> {
    try {
      const spare = await this.#createSegment();
      this.#spareIsMissing = false;
      return spare;
    } catch (error) {
      this.#spareIsMissing = true;
      this.onFault(error);
      this.#later(() => {
        if (this.#spareIsMissing) this.#spare = this.#prepareSpare();
      });
      return undefined;
    }
  }

  /** While the disk fails, nothing new comes in that would try it again: so we do. */
  #later(work: () => void): void {
    setTimeout(() => {
      if (!this.#closed) work();
    }, RETRY_MS).unref();
  }

  #createSegment(): Promise<Segment> {
    const number = this.#nextNumber;
    this.#nextNumber += 1;
    return Segment.create(this.files, this.directory, number, this.segmentBytes);
  }
}

/** A record that cannot be JSON counts as too large: it must not stop those behind it. */
function toText(line: Line): void {
  try {
    line.text = JSON.stringify(line.record);
    line.bytes = encodedBytes(line.text);
  } catch (error) {
    line.bytes = Infinity;
    line.reject?.(error);
  }
}
