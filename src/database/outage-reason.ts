import { errorChain } from '../telemetry/describe-error.js';
import { codeOf } from './error-code.js';

/** What a code (SQLSTATE, or the system's) says about the database, for people. Nothing of hosts, users or names. */
const REASONS: readonly (readonly [code: RegExp, reason: string])[] = [
  [/^ECONNREFUSED$/, 'nothing is listening there'],
  [/^(ENOTFOUND|EAI_\w+)$/, 'its name cannot be resolved'],
  [/^(EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL)$/, 'there is no route to it'],
  [/^(EMFILE|ENFILE)$/, 'this process has no file descriptors left'],
  [/CERT|^ERR_TLS|SIGNATURE$/, 'its certificate is not trusted'],
  [/^28...$/, 'it rejects our user or password'],
  [/^3D000$/, 'it has no database of that name'],
  [/^(53300|EMAXCONNSESSION)$/, 'it has too many connections'],
  [/^53100$/, 'its disk is full'],
  [/^53...$/, 'it has no resources left'],
  [/^25006$/, 'it is read-only, as a standby is'],
  [/^57P03$/, 'it is starting up'],
  [/^57P0.$/, 'it is shutting down'],
  [/^42501$/, 'it denies our user access to the tables'],
  [/^42P01$/, 'its tables are missing'],
  [/^(57014|55P03)$/, 'it takes too long, or waits for a lock'],
];

/** @returns `undefined` when nothing was said, as by a server that does not answer */
export function outageReason(error: unknown): string | undefined {
  for (const one of errorChain(error)) {
    const reason = REASONS.find(([code]) => code.test(codeOf(one) ?? ''))?.[1];
    if (reason !== undefined) return reason;
    // poolers have no code for it
    if (/max clients? reached/i.test(one.message)) return 'it has too many connections';
  }
  return undefined;
}
