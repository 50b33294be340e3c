/** Names of a `.env` file that are almost, but not quite, the name of a variable. */
export function misspeltNames(written: readonly string[], known: readonly string[]): string[] {
  return written.flatMap((name) => {
    if (known.includes(name)) return [];
    const meant = known.find((candidate) => distance(name, candidate) <= (candidate.length > 8 ? 2 : 1));
    return meant === undefined ? [] : [`${name}: is not a variable of the gateway; is ${meant} meant?`];
  });
}

/** Levenshtein's: the fewest letters to add, drop or change. */
function distance(left: string, right: string): number {
  if (Math.abs(left.length - right.length) > 2) return 3;
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let at = 1; at <= left.length; at++) {
    const next = [at];
    for (let to = 1; to <= right.length; to++) {
      const change = (row[to - 1] ?? 0) + (left[at - 1] === right[to - 1] ? 0 : 1);
      next.push(Math.min(change, (row[to] ?? 0) + 1, (next[to - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
