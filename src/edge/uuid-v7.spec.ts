import { describe, expect, it } from 'vitest';
import { uuidV7 } from './uuid-v7.js';

describe('uuidV7', () => {
  it('has the form, version and variant of RFC 9562', () => {
    for (let i = 0; i < 2000; i++) {
      expect(uuidV7()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });

  it('begins with the time, 48 bits of it', () => {
    expect(uuidV7(0x0123456789ab)).toMatch(/^01234567-89ab-7/);
    expect(uuidV7(0xfedcba987654)).toMatch(/^fedcba98-7654-7/);
  });

  it('sorts by time and does not repeat', () => {
    expect(uuidV7(1000) < uuidV7(2000)).toBe(true);
    expect(new Set(Array.from({ length: 5000 }, () => uuidV7(1))).size).toBe(5000);
  });
});
