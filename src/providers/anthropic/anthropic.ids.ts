/** Anthropic takes `[a-zA-Z0-9_-]` in tool-use ids; ids that other providers gave may have more. */
function allowed(id: string): string {
  return id.replace(/[^a-zA-Z0-9_-]/g, '_') || 'call';
}

interface Calls {
  readonly ids: string[];
  /** How many of them have got their result. */
  answered: number;
}

/**
 * The ids of one conversation's calls. Anthropic takes each once; some models begin with `call_0` in every turn, and
 * some name no call at all. A result belongs to the first call of its id that has none.
 */
export class ToolUseIds {
  readonly #taken = new Set<string>();
  /** By the client's id. */
  readonly #calls = new Map<string, Calls>();
  /** By the id that was wanted: where to go on looking for a free one. */
  readonly #copies = new Map<string, number>();

  call(id: string): string {
    const given = this.#free(allowed(id));
    this.#taken.add(given);
    const calls = this.#calls.get(id);
    if (calls) calls.ids.push(given);
    else this.#calls.set(id, { ids: [given], answered: 0 });
    return given;
  }

  result(id: string): string {
    const calls = this.#calls.get(id);
    if (!calls) return allowed(id);
    const { ids, answered } = calls;
    calls.answered = Math.min(answered + 1, ids.length);
    return ids[answered] ?? ids.at(-1) ?? allowed(id);
  }

  #free(wanted: string): string {
    if (!this.#taken.has(wanted)) return wanted;
    let copy = this.#copies.get(wanted) ?? 2;
    while (this.#taken.has(`${wanted}_${copy}`)) copy += 1;
    this.#copies.set(wanted, copy + 1);
    return `${wanted}_${copy}`;
  }
}
