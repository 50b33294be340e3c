/**
 * Events of which some may be at hand: a provider's packet often holds several. Whoever has got one by `next` may take
 * the others without a promise for each, layer by layer.
 */
export interface ReadyEvents<Event> {
  /** The next event if it is there now; `undefined` says nothing but "ask `next`". */
  takeReady(): Event | undefined;
}

/** `takeReady` of an iterator that has it; of any other nothing is ever ready. */
export function readyEventsOf<Event>(iterator: AsyncIterator<Event>): ReadyEvents<Event> {
  return 'takeReady' in iterator ? (iterator as AsyncIterator<Event> & ReadyEvents<Event>) : NOTHING_READY;
}

const NOTHING_READY: ReadyEvents<never> = { takeReady: () => undefined };
