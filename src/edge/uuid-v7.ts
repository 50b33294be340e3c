import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 10 * 256;
const pool = Buffer.alloc(POOL_BYTES);
let used = POOL_BYTES;

/** RFC 9562 UUID version 7: ordered by time (ms), so that fresh index entries stay together. */
export function uuidV7(nowMs: number = Date.now()): string {
  if (used >= POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.toString('hex', used, used + 10);
  used += 10;
  const time = nowMs.toString(16).padStart(12, '0');
  const variant = (8 + (parseInt(random.charAt(3), 16) & 3)).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-${variant}${random.slice(4, 7)}-${random.slice(7, 19)}`;
}
