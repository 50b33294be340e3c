/**
 * Events of which some may be at hand: a provider's packet often holds several. Whoever reads them takes what is there
 * layer by layer without a promise for each event, and waits for more with one promise, made where the bytes arrive,
 * instead of one or more in every layer on the way. `next` is for what is left: the end, a failure, and a layer that
 * has something to settle first.
 */
export interface ReadyEvents<Event> {
  /** The next event if it is there now; `undefined` says nothing but "ask `untilReady`, then `next`". */
  takeReady(): Event | undefined;
  /**
   * Resolves, and never rejects, as soon as it is worth asking again: bytes have come, or the end, or a failure, or
   * `return` was called.
   * Takes nothing away from whoever calls `next`. `undefined`: only `next` knows what comes.
   */
  untilReady(): Promise<void> | undefined;
}

/** The same iterator, if it has events at hand; of any other nothing is ever ready. */
export function readyEventsOf<Event>(iterator: AsyncIterator<Event>): ReadyEvents<Event> {
  return 'takeReady' in iterator ? (iterator as AsyncIterator<Event> & ReadyEvents<Event>) : NOTHING_READY;
}

const NOTHING_READY: ReadyEvents<never> = { takeReady: () => undefined, untilReady: () => undefined };
