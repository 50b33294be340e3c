import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GATEWAY_ERRORS } from './gateway-error.js';

describe('the README', () => {
  it('tells of every code that a client can meet, and with which status', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const told = readme.split('\n').flatMap((line) => {
      const [, statuses = '', codes = ''] = /^\| ([\d, ]+) \| ([^|]+) \|/.exec(line) ?? [];
      return [...codes.matchAll(/`(\w+)`/g)].map(([, code]) => ({ code, statuses: statuses.split(', ') }));
    });
    const untold = Object.entries(GATEWAY_ERRORS).filter(
      ([code, { status }]) => !told.some((row) => row.code === code && row.statuses.includes(String(status))),
    );
    expect(untold).toEqual([]);
  });
});
