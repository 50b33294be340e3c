/** A user is active who has asked within this time, or within twice as long. */
const TURN_MS = 30_000;
/** So many in a turn are enough to remember. */
const USERS_REMEMBERED = 50_000;
/** Whose reservation was refused, or recalled, is not asked for again so soon. */
const PAUSE_MS = 10_000;

/**
 * Who has asked lately. Two generations that take turns: nothing is taken out of a map one by one, for then it is built
 * anew again and again.
 */
export class ActiveUsers {
  /** When something may be reserved ahead for them, `performance.now()`. */
  #young = new Map<string, number>();
  #old = new Map<string, number>();
  #turnedMs = performance.now();

  /** Notes the user. True when it was seen before, and nothing was refused just now. */
  see(userId: string): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#turnedMs > TURN_MS || this.#young.size >= USERS_REMEMBERED) this.#turn(nowMs);
    const fromMs = this.#young.get(userId) ?? this.#old.get(userId);
    this.#young.set(userId, fromMs ?? 0);
    return fromMs !== undefined && nowMs > fromMs;
  }

  /** Nothing is to be reserved ahead for this user for a while. */
  pause(userId: string): void {
    this.#young.set(userId, performance.now() + PAUSE_MS);
  }

  #turn(nowMs: number): void {
    this.#old = nowMs - this.#turnedMs > 2 * TURN_MS ? new Map() : this.#young;
    this.#young = new Map();
    this.#turnedMs = nowMs;
  }
}
