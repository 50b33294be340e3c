import { writeFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

export type Priority = 'usual' | 'raised';

const RAISED = -10;
const USUAL = 0;

/**
 * The run stands above other work on the machine, for whoever may (root): children inherit it. No real-time scheduling: it
 * keeps a core for one thread for up to a tenth of a second, and a subject's own collector or compiler for its event loop.
 */
export const priority: Priority = raise();

/**
 * Databases stand below: they are on the core of the load generator and the upstream only because two cores is all there
 * may be, and a statement that settles forty requests would hold both up for some milliseconds. These two are equals: a
 * generator that goes first takes the core from the upstream at every event, which then come one by one, and a raw proxy's
 * stream costs half as much again.
 */
export function giveWay(databasePids: readonly number[]): void {
  if (priority !== 'raised') return;
  for (const pid of databasePids) {
    try {
      setPriority(pid, USUAL);
    } catch {
      // It has ended meanwhile.
    }
  }
}

function raise(): Priority {
  try {
    setPriority(RAISED);
    // Where every session has its share of a core (each connection of PostgreSQL is one), niceness counts inside it only.
    writeFileSync('/proc/self/autogroup', String(RAISED));
  } catch {
    // Not root, or no such groups.
  }
  return getPriority() === RAISED ? 'raised' : 'usual';
}
