import { randomFillSync } from 'node:crypto';

const RANDOM_BYTES = 10;
const pool = Buffer.alloc(256 * RANDOM_BYTES);
let used = pool.length;

const DASH = 0x2d;
const HEX_DIGITS = Buffer.from('0123456789abcdef');
/** The text under way: written digit by digit, since pieces put together are slower and leave ten times the garbage. */
const text = Buffer.alloc(36, DASH);

/** RFC 9562 UUID version 7: ordered by time (ms), so that fresh index entries stay together. */
export function uuidV7(nowMs: number = Date.now()): string {
  if (used >= pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = used;
  used += RANDOM_BYTES;
  if (nowMs !== writtenMs) writeTime(nowMs);
  writeByte(14, 0x70 | (pool[random]! & 0x0f));
  writeByte(16, pool[random + 1]!);
  writeByte(19, 0x80 | (pool[random + 2]! & 0x3f));
  writeByte(21, pool[random + 3]!);
  for (let index = 0; index < 6; index += 1) writeByte(24 + 2 * index, pool[random + 4 + index]!);
  return text.toString('latin1');
}

/** The time in `text`: the same for all of a millisecond. */
let writtenMs = -1;

function writeTime(nowMs: number): void {
  writtenMs = nowMs;
  const high = Math.floor(nowMs / 0x10000);
  writeByte(0, high >>> 24);
  writeByte(2, high >>> 16);
  writeByte(4, high >>> 8);
  writeByte(6, high);
  writeByte(9, nowMs / 0x100);
  writeByte(11, nowMs);
}

/** @param byte  its lowest eight bits count */
function writeByte(at: number, byte: number): void {
  text[at] = HEX_DIGITS[(byte >>> 4) & 0x0f]!;
  text[at + 1] = HEX_DIGITS[byte & 0x0f]!;
}
