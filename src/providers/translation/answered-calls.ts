interface Calls<Call> {
  readonly calls: Call[];
  readonly turn: number;
  /** How many of them have their result. */
  answered: number;
}

/**
 * Which call each tool result of a conversation answers. The id alone does not say it: some models begin with `call_0` in every
 * turn, and some give no ids at all. A result belongs to the first call with its id, in the latest such turn, that has none yet.
 */
export class AnsweredCalls<Call> {
  readonly #calls = new Map<string, Calls<Call>>();
  #turn = 0;

  /** Somebody else has spoken: the calls that follow belong to another turn of the model. */
  endTurn(): void {
    this.#turn += 1;
  }

  add(id: string, call: Call): void {
    const known = this.#calls.get(id);
    if (known?.turn === this.#turn) known.calls.push(call);
    else this.#calls.set(id, { calls: [call], turn: this.#turn, answered: 0 });
  }

  /** @returns  the last call where there are more results than calls; `undefined` where no call has the id */
  answer(id: string): Call | undefined {
    const known = this.#calls.get(id);
    return known && (known.calls[known.answered++] ?? known.calls.at(-1));
  }

  forget(id: string): void {
    this.#calls.delete(id);
  }
}
