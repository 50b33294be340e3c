/** Something with a share of the traffic. */
export interface Weighted {
  readonly weight: number;
}

/**
 * The same key always gives the same order, and keys are spread by weight. When a candidate leaves, only its own keys move
 * (rendezvous hashing with the weighted score −w / ln u).
 *
 * @param idOf  must give the same from request to request
 */
export function rendezvousOrder<T extends Weighted>(
  key: string,
  candidates: readonly T[],
  idOf: (candidate: T) => string,
): T[] {
  return candidates
    .map((candidate) => ({
      candidate,
      score: -candidate.weight / Math.log(uniform(`${key}\n${idOf(candidate)}`)),
    }))
    .sort((first, second) => second.score - first.score)
    .map(({ candidate }) => candidate);
}

/** A random order: each place is drawn by weight from those left (exponential keys). */
export function randomOrder<T extends Weighted>(candidates: readonly T[], random: () => number): T[] {
  return candidates
    .map((candidate) => ({ candidate, key: -Math.log(1 - random()) / candidate.weight }))
    .sort((first, second) => first.key - second.key)
    .map(({ candidate }) => candidate);
}

/** FNV-1a over UTF-16 units, mixed as in MurmurHash3 so that near texts do not give near numbers; in (0, 1). */
function uniform(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 + 2 ** -33;
}
