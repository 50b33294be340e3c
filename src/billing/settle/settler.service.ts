import type { NanoUsd } from '@app/money';
import { Injectable } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { AccountsService } from '../accounts/accounts.service.js';
import { crashPoint } from '../crash-points.js';
import type { PackedAnswer } from '../idempotency/packed-answer.js';
import { ResponseStore } from '../idempotency/response-store.js';
import { BillingJournal } from '../journal/billing-journal.service.js';
import type { JournalMark } from '../journal/journal-writer.js';
import type { Lease } from '../leases/lease.js';
import { MoneyDatabase, retryOnce, SQL_STATE, sqlStateOf, violatedConstraint } from '../money-database.js';
import { PriceVersions } from '../prices/price-versions.service.js';
import { isConnectionError } from '../../database/connection-error.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { CREATE_MISSING_HOLDS, FIND_HOLDS, WRITE_OFF } from './settle-statements.js';
import type { BookedSettlement, SettlementRecord } from './settlement-record.js';
import {
  type BookedRow,
  leasedStatementFor,
  type Statement,
  statementFor,
  toArray,
  toBooked,
} from './statement-for.js';

/** Holds are joined by nested loops: beyond some fifty a statement costs more than it saves. */
const MOST_HELD = 50;
/**
 * Of leased holds, more make a statement cheaper for each. With fifty, an instance that uses up its core settles more than
 * it books: the queue grows without end, and the garbage collector copies it about.
 */
const BATCH_SIZE = 200;
/**
 * How long a charge that is safe in the journal, and that nobody waits for, waits for others to share its statement. A
 * batch of ten costs Postgres a quarter of ten statements, and on a shared disk the journal's writes queue behind each
 * commit. Until it is booked, other requests cannot use what was held for it and not needed.
 */
const GATHER_MS = 50;
/** Booking what was held of a lease frees no money that others wait for. */
const GATHER_LEASED_MS = 200;
/** How long a read waits for this instance's settlements, so that whoever saw an answer also sees its charge. */
const DRAIN_MS = 1000;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 2000;

/** A settlement on its way to the database. */
export interface Settling {
  readonly record: SettlementRecord;
  /** Where it lies in the journal; absent for what a crash may forget (a release: the sweep finds its hold). */
  readonly mark?: JournalMark | undefined;
  /** What a retry with the same Idempotency-Key gets: stored after the charge is booked. */
  readonly answer?: PackedAnswer | undefined;
  readonly answerMark?: JournalMark | undefined;
  /** What its request held of; told when it is booked. */
  lease?: Lease | undefined;
  /** Called when it is done with: booked now, known to be booked before, or refused by the database for good. */
  readonly onDone?: ((result: BookedSettlement | 'known' | 'refused') => void) | undefined;
}

interface DrainOptions {
  readonly userId?: string | undefined;
  readonly timeoutMs?: number;
}

interface Queued extends Settling {
  readonly position: number;
  readonly queuedAtMs: number;
  /** Its outcome, once known, while its answer is not stored yet. */
  result: BookedSettlement | undefined;
  /** Booked, or refused for good: not to be tried or reported again. */
  done: boolean;
}

/**
 * Books settlements: one statement at a time, in batches of what gathers within `GATHER_MS` (of leases
 * `GATHER_LEASED_MS`), at once when somebody waits for it. While Postgres is away everything stays in the queue (and,
 * charges, in the journal) and is tried again.
 */
@Injectable()
export class Settler {
  #queue: Queued[] = [];
  #booking: readonly Queued[] = [];
  #running = false;
  #lastPosition = 0;
  #bookedPosition = 0;
  /** Up to here somebody waits. */
  #urgentPosition = 0;
  /** While it gathers: what ends it, and when that is. */
  #stopGathering: (() => void) | undefined;
  #gatherTimer: NodeJS.Timeout | undefined;
  #gatherUntilMs = 0;
  readonly #refused = new Set<string>();
  readonly #waiting = new Set<() => void>();

  constructor(
    private readonly database: MoneyDatabase,
    private readonly accounts: AccountsService,
    private readonly prices: PriceVersions,
    private readonly journal: BillingJournal,
    private readonly responses: ResponseStore,
    private readonly telemetry: Telemetry,
  ) {
    telemetry.addGauge({ name: 'journal_unsettled_records', read: () => this.pending });
    telemetry.addGauge({ name: 'journal_oldest_seconds', read: () => this.oldestSeconds });
  }

  get pending(): number {
    return this.#queue.length + this.#booking.length;
  }

  /** Settlements that the database refused for good since the start; the journal still has them. */
  get refused(): number {
    return this.#refused.size;
  }

  get oldestSeconds(): number {
    const oldest = this.#booking[0] ?? this.#queue[0];
    return oldest ? (performance.now() - oldest.queuedAtMs) / 1000 : 0;
  }

  /**
   * Ids whose settlement is on its way, or waits in the journal for the next start. Their holds must stay: once given back,
   * they could not be charged any more.
   */
  pendingIds(): string[] {
    return [...[...this.#booking, ...this.#queue].map((settling) => settling.record.id), ...this.#refused];
  }

  enqueue(settling: Settling): void {
    const { record, mark, answer, answerMark, lease, onDone } = settling;
    this.#lastPosition += 1;
    const queued: Queued = {
      record,
      mark,
      answer,
      answerMark,
      lease,
      onDone,
      position: this.#lastPosition,
      queuedAtMs: performance.now(),
      result: undefined,
      done: false,
    };
    this.#queue.push(queued);
    if (!canWait(settling)) this.#hurry(this.#lastPosition);
    else if (this.#queue.length >= enoughWith(record)) this.#stopGathering?.();
    else if (this.#stopGathering && dueAtMs(queued) < this.#gatherUntilMs) this.#gatherUntil(dueAtMs(queued));
    if (this.#running) return;
    this.#running = true;
    queueMicrotask(() => void this.#run());
  }

  /**
   * Waits until what was enqueued so far (of one user, or of all) is booked.
   *
   * @returns true when there was something and it is booked now; false when there was nothing, or time ran out
   */
  async drain({ userId, timeoutMs = DRAIN_MS }: DrainOptions = {}): Promise<boolean> {
    const goal = userId === undefined ? this.#lastPosition : this.#lastPositionOf(userId);
    if (goal <= this.#bookedPosition) return false;
    this.#hurry(goal);
    const deadlineMs = performance.now() + timeoutMs;
    while (goal > this.#bookedPosition) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) return false;
      await this.#progress(leftMs);
    }
    return true;
  }

  /** 0 when nothing of this user is on its way. Asked seldom, so there is no index for it. */
  #lastPositionOf(userId: string): number {
    const isTheirs = ({ record }: Queued): boolean => record.user_id === userId;
    return (this.#queue.findLast(isTheirs) ?? this.#booking.findLast(isTheirs))?.position ?? 0;
  }

  async #run(): Promise<void> {
    let backoffMs = FIRST_BACKOFF_MS;
    while (this.#queue.length > 0) {
      await this.#gather();
      const batch = this.#takeBatch();
      try {
        await this.#book(batch);
        backoffMs = FIRST_BACKOFF_MS;
        this.#finish(batch);
      } catch (error) {
        if (!isConnectionError(error)) this.#tell(error);
        this.#queue = [...batch.filter((settling) => !settling.done), ...this.#queue];
        this.#booking = [];
        await sleep(backoffMs * (0.5 + Math.random() / 2), undefined, { ref: false });
        backoffMs = Math.min(backoffMs * 2, LONGEST_BACKOFF_MS);
      }
    }
    this.#running = false;
  }

  #hurry(position: number): void {
    this.#urgentPosition = Math.max(this.#urgentPosition, position);
    this.#stopGathering?.();
  }

  /** Resolves when a batch is full, when somebody waits for one of it, or when one of it has waited long enough. */
  async #gather(): Promise<void> {
    const [oldest] = this.#queue;
    if (!oldest || this.#queue.length >= enoughWith(oldest.record)) return;
    if (this.#urgentPosition > this.#bookedPosition) return;
    const untilMs = this.#queue.reduce((earliest, queued) => Math.min(earliest, dueAtMs(queued)), Infinity);
    if (untilMs <= performance.now()) return;
    await new Promise<void>((resolve) => {
      this.#stopGathering = resolve;
      this.#gatherUntil(untilMs);
    });
    clearTimeout(this.#gatherTimer);
    this.#stopGathering = undefined;
  }

  #gatherUntil(untilMs: number): void {
    clearTimeout(this.#gatherTimer);
    this.#gatherUntilMs = untilMs;
    this.#gatherTimer = setTimeout(() => this.#stopGathering?.(), untilMs - performance.now()).unref();
  }

  /** In order, and no id twice: the same id again waits for the next batch, where it finds its hold ended. */
  #takeBatch(): readonly Queued[] {
    const ids = new Set<string>();
    let count = 0;
    let held = 0;
    for (const { record } of this.#queue) {
      if (record.lease_id === undefined) held += 1;
      if (count === BATCH_SIZE || held > MOST_HELD || ids.has(record.id)) break;
      ids.add(record.id);
      count += 1;
    }
    this.#booking = this.#queue.splice(0, count);
    return this.#booking;
  }

  #finish(batch: readonly Queued[]): void {
    this.#booking = [];
    for (const { position } of batch) this.#bookedPosition = Math.max(this.#bookedPosition, position);
    for (const wake of this.#waiting) wake();
  }

  /** Resolves after the next batch, or when time is up. */
  #progress(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      this.#waiting.add(wake);
    });
  }

  /** @throws when the database is away: what of the batch is not `done` is not known to be booked */
  async #book(batch: readonly Queued[]): Promise<void> {
    await this.prices.store();
    try {
      await this.#settle(batch);
      crashPoint('after-settle-commit-before-mark');
      await this.#storeAnswers(batch);
      this.#report(batch);
    } catch (error) {
      if (isConnectionError(error)) throw error;
      // Again and again is the right answer to a deadlock, and no charge is lost by it.
      if (sqlStateOf(error) === SQL_STATE.deadlockDetected) throw error;
      if (batch.length > 1) for (const settling of batch) await this.#book([settling]);
      else if (batch[0]) await this.#refuse(batch[0], error);
    }
  }

  /** @throws when the database is away: what is booked already is then found booked, and its answer stored next time */
  async #storeAnswers(batch: readonly Queued[]): Promise<void> {
    const keyed = batch.filter(({ answer }) => answer);
    if (keyed.length === 0) return;
    crashPoint('before-answer-stored');
    await Promise.all(
      keyed.map(({ record, answer }) => answer && this.responses.saveCharged(record, answer)),
    );
    crashPoint('after-answer-stored');
  }

  async #settle(batch: readonly Queued[]): Promise<void> {
    const [leased, held] = split(batch);
    if (held.length > 0) await this.#settleBy(statementFor(held), held);
    if (leased.length > 0) await this.#settleBy(leasedStatementFor(leased), leased);
    const unexplained = batch.filter(({ result }) => !result);
    const missing = unexplained.length > 0 ? await this.#withoutHold(unexplained) : [];
    if (missing.length === 0) return;
    await this.accounts.open([...new Set(missing.map(({ record }) => record.user_id))].sort());
    await this.database.query(CREATE_MISSING_HOLDS, [toArray(missing)]);
    await this.#settleBy(statementFor(missing), missing);
  }

  /** Notes each outcome at once, so that what fails later does not make it look as if it had been booked before. */
  async #settleBy(statement: Statement, batch: readonly Queued[]): Promise<void> {
    // A duplicate key: a leased hold that another process wrote at this very moment.
    const rows = await retryOnce(
      () => this.database.query<BookedRow>(...statement),
      SQL_STATE.uniqueViolation,
    );
    const booked = new Map<string, BookedRow>();
    for (const row of rows) booked.set(row.id, row);
    for (const settling of batch) {
      const row = booked.get(settling.record.id);
      if (row) settling.result = toBooked(row);
    }
  }

  /**
   * Charges, and costs that nobody knows, whose hold the database never saw. A mere release without a hold has nothing to
   * give back.
   */
  async #withoutHold(batch: readonly Queued[]): Promise<readonly Queued[]> {
    const rows = await this.database.query<{ id: string }>(FIND_HOLDS, [
      batch.map(({ record }) => record.id),
    ]);
    const found = new Set(rows.map((row) => row.id));
    return batch.filter(({ record }) => (!record.release || record.unknown) && !found.has(record.id));
  }

  /** What the database will never book. */
  async #refuse(settling: Queued, error: unknown): Promise<void> {
    const { record } = settling;
    if (violatedConstraint(error) === 'hold_idempotency') {
      await this.database.query(WRITE_OFF, [record.id, record.cost]);
      this.#reportShortfall(record, BigInt(record.cost));
      this.#report([settling]);
      return;
    }
    // Left in the journal: the next start tries again, perhaps with a program that knows better.
    this.#refused.add(record.id);
    settling.done = true;
    settling.lease?.booked();
    settling.onDone?.('refused');
    this.#tell(error, record.request_id);
  }

  #tell(error: unknown, requestId?: string): void {
    this.telemetry.event({ kind: 'unexpected-error', where: 'settlement', requestId, error });
  }

  #report(batch: readonly Queued[]): void {
    const marks: JournalMark[] = [];
    const ids: string[] = [];
    for (const { record, mark, answerMark } of batch) {
      if (!mark) continue;
      ids.push(record.id);
      marks.push(mark);
      if (answerMark) marks.push(answerMark);
    }
    this.journal.booked(marks, ids);
    for (const settling of batch) {
      const { record, result } = settling;
      settling.done = true;
      settling.lease?.booked();
      settling.onDone?.(result ?? 'known');
      if (!result) continue;
      this.telemetry.event({ kind: 'balance', userId: record.user_id, balanceNanoUsd: result.balanceNano });
      if (result.shortfallNano > 0n) this.#reportShortfall(record, result.shortfallNano);
    }
  }

  #reportShortfall(record: SettlementRecord, amountNanoUsd: NanoUsd): void {
    const { model, request_id: requestId, user_id: userId } = record;
    this.telemetry.event({ kind: 'shortfall', model, amountNanoUsd, requestId, userId });
  }
}

/** It is in the journal, or a mere release, and no retry asks for its answer. */
function canWait({ record, mark, answer }: Settling): boolean {
  return answer === undefined && (mark !== undefined || (record.release && !record.unknown));
}

function dueAtMs({ record, queuedAtMs }: Queued): number {
  return queuedAtMs + (record.lease_id === undefined ? GATHER_MS : GATHER_LEASED_MS);
}

/** How many make a full batch. */
function enoughWith({ lease_id }: SettlementRecord): number {
  return lease_id === undefined ? MOST_HELD : BATCH_SIZE;
}

/** Those that held of a lease, and those with a hold of their own. */
function split(batch: readonly Queued[]): [leased: readonly Queued[], held: readonly Queued[]] {
  const leased = batch.filter(({ record }) => record.lease_id !== undefined);
  if (leased.length === 0) return [leased, batch];
  if (leased.length === batch.length) return [batch, []];
  return [leased, batch.filter(({ record }) => record.lease_id === undefined)];
}
