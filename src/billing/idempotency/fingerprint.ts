import { createHash } from 'node:crypto';
import { canonicalJson } from '../../text/canonical-json.js';

/** What a request asks for, whatever the order of its keys: the same key with another fingerprint is a mistake. */
export function fingerprintOf(route: string, body: unknown): string {
  return createHash('sha256').update(route).update('\n').update(canonicalJson(body)).digest('hex');
}
