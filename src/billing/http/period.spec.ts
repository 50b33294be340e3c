import { GatewayError } from '@app/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toPeriod } from './period.js';

const read = (from: string, to = '2027-01-01'): string => toPeriod({ from, to }).from.toISOString();

describe('a period', () => {
  const zone = process.env['TZ'];
  beforeEach(() => {
    process.env['TZ'] = 'Europe/Berlin';
  });
  afterEach(() => {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  });

  it.each([
    ['2026-11-01', '2026-11-01T00:00:00.000Z'],
    ['2026-11', '2026-11-01T00:00:00.000Z'],
    ['2026-11-01T00:00', '2026-11-01T00:00:00.000Z'],
    ['2026-11-01T00:00:00', '2026-11-01T00:00:00.000Z'],
    ['2026-11-01 00:00:00.250', '2026-11-01T00:00:00.250Z'],
    ['2026-11-01T00:00:00Z', '2026-11-01T00:00:00.000Z'],
    ['2026-11-01T00:00:00+02:00', '2026-10-31T22:00:00.000Z'],
    ['2026-11-01T00:00:00-02:30', '2026-11-01T02:30:00.000Z'],
    // The clocks of the gateway's own zone are set back then; those of the books are not.
    ['2026-10-25T02:30:00', '2026-10-25T02:30:00.000Z'],
  ])('that begins at %s begins at %s, wherever the gateway stands', (from, time) => {
    expect(read(from)).toBe(time);
  });

  it('without bounds is thirty days of UTC, today included, on both sides of midnight', () => {
    for (const [now, to] of [
      ['2026-10-25T23:59:59.999Z', '2026-10-26'],
      ['2026-10-26T00:00:00.000Z', '2026-10-27'],
    ] as const) {
      const period = toPeriod({}, new Date(now));
      expect(period.to.toISOString()).toBe(`${to}T00:00:00.000Z`);
      expect(period.to.getTime() - period.from.getTime()).toBe(30 * 86_400_000);
    }
  });

  it.each(['2026-W10', '20261101', '2026-305'])('is not %s, and says what it is', (from) => {
    expect(() => read(from)).toThrow(GatewayError);
    expect(() => read(from)).toThrow('from must be a date (2026-11-30) or a time (2026-11-30T12:00:00Z).');
  });
});
