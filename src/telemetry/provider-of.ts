import type { RequestRecord } from './telemetry.js';

/** Who served a request, or who failed it last; `undefined` when nobody was asked. */
export function providerOf(record: RequestRecord): string | undefined {
  return record.provider ?? record.attempts.at(-1)?.provider;
}
