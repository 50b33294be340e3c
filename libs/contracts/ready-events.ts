/**
 * Events of which some may be at hand: a provider's packet often holds several. Whoever reads them takes what is there
 * layer by layer without a promise for each event, and is called where the bytes arrive when there are more, instead of
 * by one promise or more in every layer on the way. `next` is for what is left: the end, a failure, and a layer that has
 * something to settle first.
 */
export interface ReadyEvents<Event> {
  /** The next event if it is there now; `undefined` says nothing but "ask `whenReady`, then `next`". */
  takeReady(): Event | undefined;
  /**
   * Calls `wake` once, and never at once but in a microtask, when it is worth asking again: bytes have come, or the end,
   * or a failure, or `return` was called. It must not throw. Takes nothing away from whoever calls `next`.
   *
   * @returns false when only `next` knows what comes: then nobody is called
   */
  whenReady(wake: () => void): boolean;
}

/** The same iterator, if it has events at hand; of any other nothing is ever ready. */
export function readyEventsOf<Event>(iterator: AsyncIterator<Event>): ReadyEvents<Event> {
  return 'takeReady' in iterator ? (iterator as AsyncIterator<Event> & ReadyEvents<Event>) : NOTHING_READY;
}

const NOTHING_READY: ReadyEvents<never> = { takeReady: () => undefined, whenReady: () => false };
