import { describe, expect, it } from 'vitest';
import { readOptions } from './options.ts';

const names = (...args: string[]): string[] => readOptions(args).scenarios.map(({ name }) => name);

describe('readOptions', () => {
  it('does everything by default, into the report that is published', () => {
    const options = readOptions([]);
    expect([...options.parts]).toEqual(['startup', 'open', 'neighbours', 'soak', 'profile']);
    expect(options.subjects).toContain('portkey');
    expect(options.out).toMatch(/bench\/report$/);
  });

  it('measures in a quick run what the targets need', () => {
    expect(names('--quick')).toEqual(['whole-64', 'stream-64', 'rate-200', 'paced-64']);
    expect([...readOptions(['--quick']).parts]).toEqual(['open']);
  });

  it('never lets a partial run replace the published report', () => {
    for (const args of [
      ['--quick'],
      ['--only', 'open'],
      ['--subjects', 'raw'],
      ['--gateway-env', 'WORKERS=2'],
    ]) {
      expect(readOptions(args).out).toMatch(/bench\/latest$/);
    }
  });

  it('starts only who is visited', () => {
    const options = readOptions(['--only', 'rate-200', '--subjects', 'raw,gateway']);
    expect([...options.subjects]).toEqual(['direct', 'raw', 'gateway']);
    expect(readOptions(['--only', 'profile']).subjects).toContain('gateway');
  });

  it.each([
    ['--only', 'whole'],
    ['--subjects', 'apache'],
    ['--rounds', '0'],
    ['--gateway-env', 'WORKERS'],
  ])('refuses %s %s', (...args) => expect(() => readOptions(args)).toThrow(args.join(' ')));
});
