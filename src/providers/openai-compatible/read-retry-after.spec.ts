import { expect, it } from 'vitest';
import { readRetryAfter } from './read-retry-after.js';

const DAY_MS = 86_400_000;
const usedUp = (kind: string, reset: string, remaining = '0') => ({
  [`x-ratelimit-remaining-${kind}`]: remaining,
  [`x-ratelimit-reset-${kind}`]: reset,
});

it.each<[Record<string, string>, string | undefined, number | undefined]>([
  [{}, undefined, undefined],
  [{ 'retry-after-ms': '1500', 'retry-after': '9' }, undefined, 1500],
  [{ 'retry-after': '7' }, 'Please try again in 1s', 7000],
  [{ 'retry-after': '0.5' }, undefined, 500],
  [{ 'retry-after': '0' }, undefined, 0],
  [{ 'retry-after': '999999' }, undefined, DAY_MS],
  [{ 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }, undefined, 0],
  [{ 'retry-after': 'soon' }, undefined, undefined],
  [usedUp('requests', '1m30.5s'), undefined, 90_500],
  [{ ...usedUp('requests', '9s', '3'), ...usedUp('tokens', '120ms') }, undefined, 120],
  [usedUp('tokens', 'soon'), undefined, undefined],
  [{}, 'Rate limit reached. Please try again in 1h2m3s.', 3_723_000],
  [{}, 'Please retry in 20ms', 20],
  [{}, 'Please retry after 26 seconds.', 26_000],
  [{}, 'Try again in 2 minutes', 120_000],
  [{}, 'try again in 1 hour', 3_600_000],
  [{}, 'Try again later', undefined],
])('of %j and %j is %s', (headers, message, expected) => {
  expect(readRetryAfter(new Headers(headers), message)).toBe(expected);
});

it('of a date is the time until then', () => {
  const date = new Date(Date.now() + 60_000).toUTCString();
  const waitMs = readRetryAfter(new Headers({ 'retry-after': date }), undefined);
  expect(waitMs).toBeGreaterThan(50_000);
  expect(waitMs).toBeLessThanOrEqual(60_000);
});
