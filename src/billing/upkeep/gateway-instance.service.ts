import { Injectable } from '@nestjs/common';
import { hostname } from 'node:os';
import { uuidV7 } from '../../edge/uuid-v7.js';

/** A process of another host is dead when the database has not heard of it for so long. */
export const SILENCE_MS = 120_000;
/** A process counts on being taken for alive for this part of it. */
const SAFE_PART = 0.8;
/**
 * A process that was out of touch for so long does not judge others for as long: they may have been, too. Nor does one that
 * sees the database's clock step so far: by that clock all are silent, and everything is past its term.
 */
const OUT_OF_TOUCH_MS = 30_000;

/**
 * One start of one gateway process. Holds, claims and the journal carry its id, which no other process ever has: by it
 * others take over its work.
 */
@Injectable()
export class GatewayInstance {
  readonly id = uuidV7();
  readonly host = hostname();
  #fenced = false;
  #heardMs = performance.now();
  #databaseMs: number | undefined;
  #serverSinceMs: number | undefined;
  #backInTouchMs = -Infinity;

  /** Somebody declared this process dead and freed its holds (it was frozen, or cut off): it must take no new ones. */
  get isFenced(): boolean {
    return this.#fenced;
  }

  /** `performance.now()`: nobody takes this process for dead before then. */
  get aliveUntilMs(): number {
    return this.#heardMs + SILENCE_MS * SAFE_PART;
  }

  /** Whether it has been in touch with the database for long enough to call others dead, or their holds expired. */
  get isInTouch(): boolean {
    const nowMs = performance.now();
    return nowMs - this.#backInTouchMs > OUT_OF_TOUCH_MS && nowMs - this.#heardMs <= OUT_OF_TOUCH_MS;
  }

  /** What the database's clock said when it was last heard. */
  get databaseMs(): number | undefined {
    return this.#databaseMs;
  }

  /** `performance.now()`: what was renewed before then may be past its term, or lost in a failover. */
  get backInTouchMs(): number {
    return this.#backInTouchMs;
  }

  /**
   * The database has heard of this process.
   *
   * @param sentMs         `performance.now()` when that was sent
   * @param databaseMs     what its clock said then
   * @param serverSinceMs  when its server started
   * @returns whether that is another server than before: a standby that was promoted may lack the latest commits
   */
  heard(sentMs: number, databaseMs?: number, serverSinceMs = this.#serverSinceMs): boolean {
    const passedMs = sentMs - this.#heardMs;
    const steppedMs = Math.abs((databaseMs ?? NaN) - (this.#databaseMs ?? NaN) - passedMs);
    const isOther = this.#serverSinceMs !== undefined && serverSinceMs !== this.#serverSinceMs;
    if (passedMs > OUT_OF_TOUCH_MS || steppedMs > OUT_OF_TOUCH_MS || isOther)
      this.#backInTouchMs = performance.now();
    this.#heardMs = sentMs;
    this.#databaseMs = databaseMs;
    this.#serverSinceMs = serverSinceMs;
    return isOther;
  }

  /** It starts, perhaps just after an outage, when others may not be back in touch yet. */
  begin(): void {
    this.#backInTouchMs = performance.now();
  }

  fence(): void {
    this.#fenced = true;
  }
}
