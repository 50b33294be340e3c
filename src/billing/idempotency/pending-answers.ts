import type { StoredResponse } from './stored-response.js';

interface Pending {
  readonly fingerprint: string;
  /** The answer, or `undefined` when there is none and the key is free (or somebody else's) again. */
  readonly answer: Promise<StoredResponse | undefined>;
}

/** Keys that this process is executing, or asking the database for, at this moment. */
export class PendingAnswers {
  readonly #byKey = new Map<string, Pending>();

  find(userId: string, key: string): Pending | undefined {
    return this.#byKey.get(nameOf(userId, key));
  }

  add(userId: string, key: string, fingerprint: string): { end(answer: StoredResponse | undefined): void } {
    const name = nameOf(userId, key);
    let resolve: (answer: StoredResponse | undefined) => void = () => undefined;
    const pending: Pending = { fingerprint, answer: new Promise((settle) => (resolve = settle)) };
    this.#byKey.set(name, pending);
    return {
      end: (answer) => {
        if (this.#byKey.get(name) === pending) this.#byKey.delete(name);
        resolve(answer);
      },
    };
  }
}

/** Neither part can contain a space. */
function nameOf(userId: string, key: string): string {
  return `${userId} ${key}`;
}
