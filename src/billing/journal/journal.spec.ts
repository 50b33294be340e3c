import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdtemp, open, readdir, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediately, setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AppConfig } from '../../config/app-config.js';
import { ConfigurationError } from '../../config/configuration-error.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { MOST_PACKED_BYTES } from '../idempotency/packed-answer.js';
import { GatewayInstance } from '../upkeep/gateway-instance.service.js';
import { BillingJournal } from './billing-journal.service.js';
import { DISK, type JournalFiles } from './journal-files.js';
import { answerRecord, type JournalRecord } from './journal-record.js';
import { readJournal } from './journal-reader.js';
import { JournalWriter } from './journal-writer.js';
import { decodeSegment, encodedBytes, encodeRecord } from './record-codec.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'journal-spec-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const record = (id: string): JournalRecord => ({ t: 'S', s: { id, pad: 'x'.repeat(200) } });
const bytesOf = (id: string) => encodedBytes(JSON.stringify(record(id)));
const idsIn = async () => (await readJournal(directory)).settlements.map((settlement) => settlement.id);
const segments = async () => (await readdir(directory)).filter((name) => name.endsWith('.journal')).sort();

function segmentOf(texts: readonly string[], zeros = 64): Buffer {
  const buffer = Buffer.alloc(texts.reduce((sum, text) => sum + encodedBytes(text), zeros));
  let offset = 0;
  for (const text of texts) offset = encodeRecord(buffer, offset, text);
  return buffer;
}

describe('records', () => {
  it('come back as they were written, whatever is in them', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', minLength: 1 })), (texts) => {
        expect(decodeSegment(segmentOf(texts))).toEqual({ texts, damaged: 0, tornTail: false });
      }),
      { numRuns: 50 },
    );
  });

  it('cut anywhere lose only what was behind the cut', () => {
    const texts = ['first', 'second', 'third'];
    const whole = segmentOf(texts, 0);
    fc.assert(
      fc.property(fc.nat(whole.length), (cut) => {
        const { texts: left, damaged } = decodeSegment(
          Buffer.concat([whole.subarray(0, cut), Buffer.alloc(64)]),
        );
        expect(texts.slice(0, left.length)).toEqual(left);
        expect(damaged).toBe(0);
      }),
    );
  });

  it('with one flipped bit never come back changed', () => {
    const texts = ['first', 'second', 'third'];
    fc.assert(
      fc.property(fc.nat(segmentOf(texts, 0).length * 8 - 1), (bit) => {
        const segment = segmentOf(texts);
        segment[bit >> 3] = (segment[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const { texts: left } = decodeSegment(segment);
        expect(left.every((text) => texts.includes(text))).toBe(true);
        expect(left.length).toBeLessThan(3);
      }),
      { numRuns: 500 },
    );
  });

  it('behind a damaged one are still read, and the damage is counted', () => {
    const segment = segmentOf(['first', 'second', 'third']);
    segment[8 + 5 + 8 + 2] = 0;
    expect(decodeSegment(segment)).toEqual({ texts: ['first', 'third'], damaged: 1, tornTail: false });
  });
});

describe('JournalWriter', () => {
  it('keeps what was appended and not booked, across segments, and removes segments that are done', async () => {
    const writer = await JournalWriter.open(directory, { segmentBytes: 4096 });
    const marks = await Promise.all(
      Array.from({ length: 100 }, (_, index) => writer.append(record(`id-${index}`))),
    );
    expect(await idsIn()).toHaveLength(100);
    expect((await segments()).length).toBeGreaterThan(5);
    writer.booked(marks.slice(0, 90));
    await writer.close();
    const left = await idsIn();
    expect(left.length).toBeLessThan(30);
    expect(left).toEqual(
      expect.arrayContaining(Array.from({ length: 10 }, (_, index) => `id-${90 + index}`)),
    );
  });

  it('groups what comes while a sync is under way', async () => {
    let syncs = 0;
    const files: JournalFiles = { ...DISK, sync: (fd) => ((syncs += 1), DISK.sync(fd)) };
    const writer = await JournalWriter.open(directory, { files });
    await Promise.all(Array.from({ length: 500 }, (_, index) => writer.append(record(`id-${index}`))));
    expect(syncs).toBeLessThan(10);
    await writer.close();
  });

  it('waits for more lines where many come, and nobody waits where few do', async () => {
    let writes = 0;
    const files: JournalFiles = { ...DISK, write: () => Promise.resolve(void writes++) };
    const writer = await JournalWriter.open(directory, { files });
    const turnsUntilWritten = async () => {
      let turns = 0;
      let isWritten = false;
      void writer.append(record('alone')).then(() => (isWritten = true));
      for (; !isWritten; turns++) await immediately();
      return turns;
    };
    for (let line = 0; line < 20; line++) {
      await sleep(1);
      expect(await turnsUntilWritten()).toBeLessThan(10);
    }
    writes = 0;
    for (let turn = 0; turn < 3000; turn++) {
      for (let line = 0; line < 3; line++) void writer.append(record('one of many'));
      await immediately();
    }
    expect((3000 * 3) / writes).toBeGreaterThan(8);
    // The first two are still counted with the many.
    for (let line = 0; line < 2; line++) {
      await sleep(20);
      await writer.append(record('one of few'));
    }
    expect(await turnsUntilWritten()).toBeLessThan(10);
    await writer.close();
  });

  it('does not sync for notes, and writes them before it closes', async () => {
    let syncs = 0;
    const files: JournalFiles = { ...DISK, sync: (fd) => ((syncs += 1), DISK.sync(fd)) };
    const writer = await JournalWriter.open(directory, { files });
    await writer.append(record('a'));
    writer.note({ t: 'D', ids: ['a'] });
    await writer.close();
    expect(syncs).toBe(1);
    expect(await idsIn()).toEqual([]);
  });

  it.each(['write', 'sync'] as const)('writes a group again elsewhere when its %s failed', async (call) => {
    let fail = false;
    const faults: unknown[] = [];
    const failing =
      <A extends unknown[]>(work: (...parameters: A) => Promise<void>) =>
      (...parameters: A): Promise<void> => {
        if (!fail) return work(...parameters);
        fail = false;
        return Promise.reject(new Error('EIO'));
      };
    const files: JournalFiles = {
      ...DISK,
      [call]: failing(DISK[call] as (...p: unknown[]) => Promise<void>),
    };
    const writer = await JournalWriter.open(directory, { files, onFault: (error) => faults.push(error) });
    await writer.append(record('before'));
    fail = true;
    await writer.append(record('during'));
    await writer.append(record('after'));
    await writer.close();
    expect(await idsIn()).toEqual(['before', 'during', 'after']);
    expect(faults).toHaveLength(1);
    expect(await segments()).toHaveLength(3);
  });

  it('tells the caller when nothing works, and recovers when the disk does', async () => {
    let broken = false;
    const files: JournalFiles = {
      ...DISK,
      sync: (fd) => (broken ? Promise.reject(new Error('EIO')) : DISK.sync(fd)),
      create: (...parameters) => (broken ? Promise.reject(new Error('ENOSPC')) : DISK.create(...parameters)),
    };
    const writer = await JournalWriter.open(directory, { files });
    broken = true;
    await expect(writer.append(record('lost'))).rejects.toThrow('EIO');
    expect(writer.isHealthy).toBe(false);
    broken = false;
    await expect.poll(() => writer.isHealthy, { timeout: 5000 }).toBe(true);
    await writer.append(record('kept'));
    await writer.close();
    expect(await idsIn()).toContain('kept');
  });

  it('is unhealthy as soon as the next segment cannot be prepared, and still takes what fits', async () => {
    let full = false;
    const files: JournalFiles = {
      ...DISK,
      create: (...parameters) => (full ? Promise.reject(new Error('ENOSPC')) : DISK.create(...parameters)),
    };
    const writer = await JournalWriter.open(directory, { files, segmentBytes: 4096 });
    full = true;
    let taken = 0;
    for (; writer.isHealthy; taken += 1) await writer.append(record(`id-${taken}`));
    await writer.append(record('in flight'));
    await writer.close();
    expect(await idsIn()).toHaveLength(taken + 1);
  });

  it('stays healthy while the next segment is being made, and waits for it when it is needed', async () => {
    let delayMs = 0;
    const create: JournalFiles['create'] = async (...parameters) => {
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      return DISK.create(...parameters);
    };
    const writer = await JournalWriter.open(directory, { files: { ...DISK, create }, segmentBytes: 4096 });
    delayMs = 50;
    for (let index = 0; index < 40; index += 1) {
      await writer.append(record(`id-${index}`));
      expect(writer.isHealthy).toBe(true);
    }
    await writer.close();
    expect(await idsIn()).toHaveLength(40);
  });

  it.runIf(process.platform === 'linux')('has no write that does not wait for the disk', async () => {
    const path = join(directory, 'x');
    const fd = await DISK.create(path, directory, 4096);
    const [, flags] = /flags:\s+(\d+)/.exec(await readFile(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? [];
    await DISK.close(fd);
    expect(Number.parseInt(flags ?? '', 8) & constants.O_DSYNC).toBe(constants.O_DSYNC);
  });

  it('refuses a record that is no JSON, and that one alone', async () => {
    const writer = await JournalWriter.open(directory);
    const wrong = writer.append({ t: 'S', s: { id: 'wrong', amount: 1n } });
    const right = writer.append(record('right'));
    await expect(wrong).rejects.toThrow(TypeError);
    await right;
    await writer.close();
    expect(await idsIn()).toEqual(['right']);
  });

  it('refuses a record that would not fit a segment', async () => {
    const writer = await JournalWriter.open(directory, { segmentBytes: 1024 });
    await expect(writer.append(record('x'.repeat(2000)))).rejects.toThrow(RangeError);
    await writer.close();
  });
});

describe('readJournal', () => {
  it('keeps the answers of what is not booked, the largest too, and of nothing else', async () => {
    const answer = { status: 200, headers: { 'x-cache': 'BYPASS' }, stream: true };
    const large = { ...answer, body: randomBytes(MOST_PACKED_BYTES) };
    const lost = { ...answer, body: null };
    const writer = await JournalWriter.open(directory);
    for (const [id, each] of [
      ['large', large],
      ['lost', lost],
      ['booked', large],
      ['charge-never-came', large],
    ] as const) {
      await writer.append(answerRecord(id, each));
      if (id !== 'charge-never-came') await writer.append(record(id));
    }
    writer.note({ t: 'D', ids: ['booked'] });
    await writer.close();
    const { settlements, answers } = await readJournal(directory);
    expect(settlements.map(({ id }) => id)).toEqual(['large', 'lost']);
    // A matcher takes seconds over a megabyte.
    expect(answers.get('large')?.body?.equals(large.body)).toBe(true);
    expect({ ...answers.get('large'), body: null }).toEqual(lost);
    expect(answers.get('lost')).toEqual(lost);
    expect(answers.has('booked')).toBe(false);
  });

  it('tolerates a torn tail and says so', async () => {
    const writer = await JournalWriter.open(directory);
    await writer.append(record('whole'));
    await writer.append(record('torn'));
    await writer.close();
    const path = join(directory, (await segments())[0] ?? '');
    await truncate(path, bytesOf('whole') + 100);
    expect(await readJournal(directory)).toMatchObject({ tornSegments: 1, damagedRecords: 0 });
    expect(await idsIn()).toEqual(['whole']);
  });

  it('counts flipped bits and reads on', async () => {
    const writer = await JournalWriter.open(directory);
    for (const id of ['one', 'two', 'three']) await writer.append(record(id));
    await writer.close();
    const path = join(directory, (await segments())[0] ?? '');
    const handle = await open(path, 'r+');
    await handle.write(Buffer.from('?'), 0, 1, bytesOf('one') + 40);
    await handle.close();
    expect(await readJournal(directory)).toMatchObject({ damagedRecords: 1, tornSegments: 0 });
    expect(await idsIn()).toEqual(['one', 'three']);
    expect((await readFile(path)).length).toBe(8 * 1024 * 1024);
  });
});

describe('a full disk', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { syscall: 'write' });
  afterEach(() => void vi.restoreAllMocks());

  it('gets back what a segment took that did not fit', async () => {
    const write = vi.spyOn(DISK, 'write');
    write.mockImplementationOnce(async () => undefined).mockRejectedValueOnce(full);
    await expect(DISK.create(join(directory, 'x.journal'), directory, 1_000_000)).rejects.toThrow('ENOSPC');
    expect(await segments()).toEqual([]);
  });

  it('stops the start with a line that says what to do, and leaves nothing behind', async () => {
    vi.spyOn(DISK, 'write').mockRejectedValueOnce(full);
    const config = { dataDir: directory } as AppConfig;
    const failure = await new BillingJournal(new GatewayInstance(), new Telemetry(), config)
      .open()
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConfigurationError);
    expect((failure as ConfigurationError).faults).toEqual([
      expect.stringMatching(
        /^DATA_DIR: the billing journal \S+ cannot be written \(ENOSPC: .*\): free space/,
      ),
    ]);
    expect(await readdir(join(directory, 'journal'))).toEqual([]);
  });
});
