import { describe, expect, it } from 'vitest';
import type { Decision } from './limit-store.js';
import { goDuration, RateLimitHeaders } from './rate-limit-headers.js';

const MINUTE = { name: 'minute', limit: 60, windowMs: 60_000 };
const HOUR = { name: 'hour', limit: 1000, windowMs: 3_600_000 };

function headersOf(decision: Pick<Decision, 'windows'> & Partial<Decision>): Record<string, string> {
  const headers: Record<string, string> = {};
  new RateLimitHeaders([MINUTE, HOUR]).write(
    { setHeader: (name, value) => (headers[name.toLowerCase()] = value) },
    { allowed: true, refusedBy: -1, retryAfterMs: 0, degraded: false, ...decision },
  );
  return headers;
}

describe('RateLimitHeaders', () => {
  it('shows the window with the least left in OpenAI’s fields, all of them in the IETF fields', () => {
    const windows = [
      { used: 48, growsInMs: 7_100, emptyInMs: 61_000 },
      { used: 100, growsInMs: 1_800_000, emptyInMs: 3_660_000 },
    ];
    expect(headersOf({ windows })).toEqual({
      'x-ratelimit-limit-requests': '60',
      'x-ratelimit-remaining-requests': '12',
      'x-ratelimit-reset-requests': '1m1s',
      'ratelimit-policy': '"rpm";q=60;w=60, "rph";q=1000;w=3600',
      ratelimit: '"rpm";r=12;t=8, "rph";r=900;t=1800',
    });
  });

  it('turns to the hour when less is left of it', () => {
    const windows = [
      { used: 10, growsInMs: 1000, emptyInMs: 61_000 },
      { used: 995, growsInMs: 500, emptyInMs: 3_660_000 },
    ];
    const headers = headersOf({ windows });
    expect(headers['x-ratelimit-limit-requests']).toBe('1000');
    expect(headers['x-ratelimit-remaining-requests']).toBe('5');
    expect(headers['x-ratelimit-reset-requests']).toBe('1h1m0s');
  });

  it('says when this instance decides alone, and never shows less than nothing', () => {
    const windows = [
      { used: 75, growsInMs: 10, emptyInMs: 10 },
      { used: 75, growsInMs: 10, emptyInMs: 10 },
    ];
    const headers = headersOf({ windows, degraded: true });
    expect(headers['x-ratelimit-mode']).toBe('degraded');
    expect(headers['x-ratelimit-remaining-requests']).toBe('0');
  });
});

describe('goDuration', () => {
  it.each([
    [0, '0s'],
    [12, '12ms'],
    [999.6, '1s'],
    [1000, '1s'],
    [8640, '8.64s'],
    [60_000, '1m0s'],
    [360_000, '6m0s'],
    [1_296_001, '21m36.001s'],
    [3_600_000, '1h0m0s'],
    [3_661_500, '1h1m1.5s'],
    [-5, '0s'],
  ])('%d ms is %s', (ms, text) => expect(goDuration(ms)).toBe(text));
});
