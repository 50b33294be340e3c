import type { Splitting } from './script.js';

/** Cuts a body into the writes it is sent in. */
export function splitBytes(body: Buffer, splitting: Splitting): Buffer[] {
  switch (splitting.kind) {
    case 'whole':
      return body.length > 0 ? [body] : [];
    case 'bytes':
      return cut(body, () => splitting.size);
    case 'random':
      return cut(body, randomSizes(splitting.seed, splitting.maxBytes ?? 64));
    case 'events':
      return splitEvents(body);
  }
}

function cut(body: Buffer, nextSize: () => number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let start = 0; start < body.length;) {
    const size = Math.max(1, nextSize());
    pieces.push(body.subarray(start, start + size));
    start += size;
  }
  return pieces;
}

/** A small seeded generator (mulberry32): 1 … `max`. */
function randomSizes(seed: number, max: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return 1 + (((mixed ^ (mixed >>> 14)) >>> 0) % max);
  };
}

/** After each blank line, whichever line end is used. */
function splitEvents(body: Buffer): Buffer[] {
  const events = body.toString('latin1').match(/[^]*?(?:\r\n\r\n|\n\n)|[^]+$/g) ?? [];
  return events.map((event) => Buffer.from(event, 'latin1'));
}
