import { AnsweredCalls } from '../translation/answered-calls.js';

/** Anthropic takes `[a-zA-Z0-9_-]` in tool-use ids; other providers' ids may have other characters. */
function allowed(id: string): string {
  return id.replace(/[^a-zA-Z0-9_-]/g, '_') || 'call';
}

/** The ids of one conversation's calls, each given once: Anthropic refuses an id that two calls of a turn share. */
export class ToolUseIds {
  readonly #taken = new Set<string>();
  readonly #calls = new AnsweredCalls<string>();
  /** By the id that was wanted: where to go on looking for a free one. */
  readonly #copies = new Map<string, number>();

  endTurn(): void {
    this.#calls.endTurn();
  }

  call(id: string): string {
    const given = this.#free(allowed(id));
    this.#taken.add(given);
    this.#calls.add(id, given);
    return given;
  }

  result(id: string): string {
    return this.#calls.answer(id) ?? allowed(id);
  }

  #free(wanted: string): string {
    if (!this.#taken.has(wanted)) return wanted;
    let copy = this.#copies.get(wanted) ?? 2;
    while (this.#taken.has(`${wanted}_${copy}`)) copy += 1;
    this.#copies.set(wanted, copy + 1);
    return `${wanted}_${copy}`;
  }
}
