import type { CachedAnswer } from './cached-answer.js';

/** Who has asked first works; whoever asks the same meanwhile gets that answer. */
export type Flight =
  | {
      readonly role: 'leader';
      /** To be called once, whatever the end: with the answer, or with nothing when there is none to share. */
      readonly land: (answer: CachedAnswer | undefined) => void;
    }
  | {
      readonly role: 'follower';
      /** `undefined`: the leader has no answer to share; go alone. */
      readonly answer: Promise<CachedAnswer | undefined>;
    };

/** Identical requests of this process that are under way. */
export class SingleFlight {
  readonly #flights = new Map<string, Promise<CachedAnswer | undefined>>();

  /** @param maxWaitMs  after this a follower goes alone, whatever became of the leader */
  constructor(private readonly maxWaitMs: number) {}

  join(key: string): Flight {
    const flying = this.#flights.get(key);
    return flying ? { role: 'follower', answer: flying } : this.#lead(key);
  }

  #lead(key: string): Flight {
    let land: (answer: CachedAnswer | undefined) => void = () => undefined;
    const flight = new Promise<CachedAnswer | undefined>((resolve) => {
      const timer = setTimeout(() => land(undefined), this.maxWaitMs);
      timer.unref();
      land = (answer) => {
        clearTimeout(timer);
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        resolve(answer);
      };
    });
    this.#flights.set(key, flight);
    return { role: 'leader', land };
  }
}
