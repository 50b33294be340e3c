/**
 * Calls `giveUp` after the timeout, but only once everything that has already arrived on the sockets has been read. If this process
 * was busy, its timers run first; without this, answers that arrived long ago would count as late, all of them at once.
 */
export function whenNotAnswered(timeoutMs: number, giveUp: () => void): NodeJS.Timeout {
  return setTimeout(() => setImmediate(giveUp), timeoutMs);
}
