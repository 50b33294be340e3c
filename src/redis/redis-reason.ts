/** What Redis, or the system, says first, in words for everybody: messages of theirs may name hosts. */
const REASONS: readonly (readonly [said: RegExp, reason: string])[] = [
  [/\bECONNREFUSED\b/, 'nothing is listening there'],
  [/\b(ENOTFOUND|EAI_\w+)\b/, 'its name cannot be resolved'],
  [/^OOM\b/, 'Redis has no memory left (maxmemory)'],
  [/^READONLY\b/, 'Redis is a read-only replica'],
  [/^MASTERDOWN\b/, 'Redis is a replica without its primary'],
  [/^NOREPLICAS\b/, 'Redis is a primary without its replicas'],
  [/\b(NOAUTH|WRONGPASS|NOPERM)\b/, 'Redis rejects our user or password'],
  [/\bLOADING\b/, 'Redis is loading its data'],
  [/^MISCONF\b/, 'Redis cannot save, so it accepts no writes'],
  [/^(MOVED|ASK|CLUSTERDOWN|CROSSSLOT)\b/, 'Redis is a node of a cluster'],
  [/^Command timed out/, 'Redis does not answer'],
];

/** @param text  of an error; `undefined` where nothing is known of it */
export function redisReason(text: string | undefined): string | undefined {
  return text === undefined ? undefined : REASONS.find(([said]) => said.test(text))?.[1];
}
