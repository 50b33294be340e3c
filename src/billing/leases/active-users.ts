/** A user counts as active for this long after a request, or up to twice as long. */
const TURN_MS = 30_000;
/** In one turn; more begin the next one. */
const USERS_REMEMBERED = 50_000;
/** After a lease was refused or recalled. */
const PAUSE_MS = 10_000;

/**
 * Who has asked lately. Two maps that take turns, because a map from which entries are deleted one by one is rebuilt again
 * and again.
 */
export class ActiveUsers {
  /** By user: from when on a lease may be asked for, `performance.now()`. */
  #young = new Map<string, number>();
  #old = new Map<string, number>();
  #turnedMs = performance.now();

  /** Notes the user. True when it was seen before and is not paused. */
  see(userId: string): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#turnedMs > TURN_MS || this.#young.size >= USERS_REMEMBERED) this.#turn(nowMs);
    const fromMs = this.#young.get(userId) ?? this.#old.get(userId);
    this.#young.set(userId, fromMs ?? 0);
    return fromMs !== undefined && nowMs > fromMs;
  }

  /** No lease for this user for a while. */
  pause(userId: string): void {
    this.#young.set(userId, performance.now() + PAUSE_MS);
  }

  #turn(nowMs: number): void {
    this.#old = nowMs - this.#turnedMs > 2 * TURN_MS ? new Map() : this.#young;
    this.#young = new Map();
    this.#turnedMs = nowMs;
  }
}
