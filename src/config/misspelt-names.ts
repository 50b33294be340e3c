import { editDistance } from '../text/edit-distance.js';

/** Shorter names are a letter or two away from many that belong to other programs. */
const LEAST_LENGTH = 9;
const LONG = 16;

/** The known name that a written one is almost, but not quite; `undefined` = none. */
export function meantName(written: string, known: readonly string[]): string | undefined {
  return known.find((candidate) => {
    const most = candidate.length > LONG ? 2 : 1;
    return editDistance(written, candidate, most) <= most;
  });
}

/**
 * Variables that have no effect but look as if they were meant to: a near miss of a known name, or `…_FILE` for what is not a secret.
 *
 * @param written  of the environment, in which other programs have theirs
 */
export function misspeltVariables(written: readonly string[], known: readonly string[]): string[] {
  return written.flatMap((name) => {
    if (known.includes(name) || name.length < LEAST_LENGTH) return [];
    const stem = name.replace(/_FILE$/, '');
    if (stem !== name && known.includes(stem))
      return [`${name}: is not read; set ${stem} to the value itself`];
    const meant = meantName(name, known);
    return meant === undefined ? [] : [`${name}: is not a variable of the gateway; did you mean ${meant}?`];
  });
}
