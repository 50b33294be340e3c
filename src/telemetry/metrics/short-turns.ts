import { setImmediate as nextTurn } from 'node:timers/promises';

const TURN_MS = 5;

/** For work of many small steps: after so much of it everybody else has a turn of the event loop. */
export class ShortTurns {
  #sinceMs = performance.now();

  /** To be awaited between two steps. */
  async pause(): Promise<void> {
    if (performance.now() - this.#sinceMs < TURN_MS) return;
    await nextTurn();
    this.#sinceMs = performance.now();
  }
}

export async function* inShortTurns<Step>(steps: Iterable<Step>): AsyncGenerator<Step> {
  const turns = new ShortTurns();
  for (const step of steps) {
    yield step;
    await turns.pause();
  }
}
