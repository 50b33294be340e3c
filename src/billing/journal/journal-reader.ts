import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SettlementRecord } from '../settle/settlement-record.js';
import type { PackedAnswer } from '../idempotency/packed-answer.js';
import { answerOfRecord, type JournalRecord, type StoredPriceVersion } from './journal-record.js';
import { decodeSegment } from './record-codec.js';
import { SEGMENT_SUFFIX } from './segment.js';

/** What is left to do of a journal: what was settled and is not known to be booked. */
export interface JournalContents {
  readonly settlements: readonly SettlementRecord[];
  /** Answers to be stored with them, by settlement id. */
  readonly answers: ReadonlyMap<string, PackedAnswer>;
  readonly priceVersions: readonly StoredPriceVersion[];
  readonly damagedRecords: number;
  readonly tornSegments: number;
}

/** Reads every segment of a directory nobody writes to any more. A torn end is normal after a kill; damage is counted. */
export async function readJournal(directory: string): Promise<JournalContents> {
  const settlements = new Map<string, SettlementRecord>();
  const priceVersions = new Map<string, StoredPriceVersion>();
  const answers = new Map<string, PackedAnswer>();
  const booked = new Set<string>();
  let damagedRecords = 0;
  let tornSegments = 0;
  for (const name of await segmentNames(directory)) {
    const segment = decodeSegment(await readFile(join(directory, name)));
    damagedRecords += segment.damaged;
    tornSegments += segment.tornTail ? 1 : 0;
    for (const text of segment.texts) {
      const record = JSON.parse(text) as JournalRecord;
      if (record.t === 'S') {
        const settlement = withUnknownCosts(record.s as SettlementRecord);
        settlements.set(settlement.id, settlement);
      } else if (record.t === 'A') answers.set(record.id, answerOfRecord(record.a));
      else if (record.t === 'D') {
        for (const id of record.ids) {
          booked.add(id);
          answers.delete(id);
        }
      } else if (record.t === 'V') priceVersions.set(record.v.id, record.v);
    }
  }
  return {
    settlements: [...settlements.values()].filter((settlement) => !booked.has(settlement.id)),
    answers,
    priceVersions: [...priceVersions.values()],
    damagedRecords,
    tornSegments,
  };
}

/** Outcomes that always mean: sent, and not answered. */
const UNANSWERED = ['first_chunk_timeout', 'stream_idle_timeout', 'request_timeout'];

/** An older version did not mark the calls of unknown cost, but wrote how each of them ended. */
function withUnknownCosts(settlement: SettlementRecord): SettlementRecord {
  const { attempts } = settlement;
  if (settlement.unknown || !attempts?.some(({ outcome }) => UNANSWERED.includes(outcome))) return settlement;
  const marked = attempts.map((attempt) =>
    UNANSWERED.includes(attempt.outcome) ? { ...attempt, isCostUnknown: true as const } : attempt,
  );
  return { ...settlement, unknown: true, attempts: marked };
}

async function segmentNames(directory: string): Promise<string[]> {
  const names = await readdir(directory);
  return names.filter((name) => name.endsWith(SEGMENT_SUFFIX)).sort();
}
