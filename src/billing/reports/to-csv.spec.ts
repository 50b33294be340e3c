import { describe, expect, it } from 'vitest';
import { toCsv } from './to-csv.js';

describe('toCsv', () => {
  it('quotes, and defuses formulas but not amounts', () => {
    expect(
      toCsv(
        ['key', 'net'],
        [
          ['=1+1', '-0.5'],
          ['a"b,c', 3],
          ['@x\n', '1'],
          ['\n=1', '\uff1d1'],
        ],
      ),
    ).toBe(`key,net\r\n'=1+1,-0.5\r\n"a""b,c",3\r\n"'@x\n",1\r\n"'\n=1",'\uff1d1\r\n`);
  });
});
