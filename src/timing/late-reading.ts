/**
 * Calls `giveUp` after its time, once more behind what lies in the sockets by then. When this process itself was busy its timers
 * come first, and answers that have long been there would count as those of somebody who is slow: all that are awaited, at once.
 */
export function whenNotAnswered(timeoutMs: number, giveUp: () => void): NodeJS.Timeout {
  return setTimeout(() => setImmediate(giveUp), timeoutMs);
}
