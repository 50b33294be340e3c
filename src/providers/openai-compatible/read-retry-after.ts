import { MAX_RETRY_AFTER_MS } from '../translation/retry-after.js';

export interface HeaderSource {
  get(name: string): string | null;
}

/**
 * When a provider wants to be asked again, by the most exact source there is: `retry-after-ms`, `retry-after`, the reset of
 * a window that is used up, the words of its message.
 *
 * @returns milliseconds, at most a day; `undefined` when nothing says it
 */
export function readRetryAfter(
  headers: HeaderSource | undefined,
  message: string | undefined,
): number | undefined {
  const candidates = [
    decimal(headers?.get('retry-after-ms')),
    secondsOrDate(headers?.get('retry-after')),
    exhaustedReset(headers, 'requests'),
    exhaustedReset(headers, 'tokens'),
    duration(/(?:try again|retry) in ((?:\d+(?:\.\d+)?(?:ms|[hms]))+)/i.exec(message ?? '')?.[1]),
    inWords(message),
  ];
  const found = candidates.find((value) => value !== undefined && value >= 0);
  return found === undefined ? undefined : Math.min(found, MAX_RETRY_AFTER_MS);
}

function decimal(value: string | null | undefined): number | undefined {
  return value && /^\d+(\.\d+)?$/.test(value) ? Number(value) : undefined;
}

function secondsOrDate(value: string | null | undefined): number | undefined {
  const seconds = decimal(value);
  if (seconds !== undefined) return seconds * 1000;
  const date = Date.parse(value ?? '');
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** The reset of a window says when to come back only if nothing is left of that window. */
function exhaustedReset(headers: HeaderSource | undefined, kind: 'requests' | 'tokens'): number | undefined {
  if (headers?.get(`x-ratelimit-remaining-${kind}`) !== '0') return undefined;
  return duration(headers.get(`x-ratelimit-reset-${kind}`));
}

/** Azure: "Please retry after 26 seconds." */
function inWords(message: string | undefined): number | undefined {
  const found = /(?:try again|retry) (?:in|after) (\d+(?:\.\d+)?) ?(second|minute|hour)/i.exec(message ?? '');
  return found ? Number(found[1]) * (UNIT_MS[found[2]?.charAt(0).toLowerCase() ?? ''] ?? 0) : undefined;
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `120ms`, `21m36.001s` -> milliseconds. */
function duration(value: string | null | undefined): number | undefined {
  if (!value || !/^(\d+(\.\d+)?(ms|[hms]))+$/.test(value)) return undefined;
  let total = 0;
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|[hms])/g)) {
    total += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
  }
  return Math.ceil(total);
}
