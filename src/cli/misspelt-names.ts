import { editDistance } from '../text/edit-distance.js';

/** Names of a `.env` file that are almost, but not quite, the name of a variable. */
export function misspeltNames(written: readonly string[], known: readonly string[]): string[] {
  return written.flatMap((name) => {
    if (known.includes(name)) return [];
    const meant = known.find((candidate) => {
      const most = candidate.length > 8 ? 2 : 1;
      return editDistance(name, candidate, most) <= most;
    });
    return meant === undefined ? [] : [`${name}: is not a variable of the gateway; is ${meant} meant?`];
  });
}
