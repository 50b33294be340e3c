import { describe, expect, it } from 'vitest';
import { BoundedMemoryStore } from './bounded-memory-store.js';

const VALUE = JSON.stringify({ value: 'x'.repeat(300) });

describe('BoundedMemoryStore', () => {
  it('counts a value once, however many set it at the same time', async () => {
    const store = new BoundedMemoryStore(2_000);
    await Promise.all(Array.from({ length: 10 }, () => store.set('k', VALUE, 1_000)));
    expect(await store.get('k')).toBe(VALUE);
  });

  it('holds no more than its bytes: the longest unused goes first', async () => {
    const store = new BoundedMemoryStore(2_000);
    for (const key of ['a', 'b', 'c']) {
      await store.set(key, VALUE, 1_000);
      await store.get('a');
    }
    expect(await store.get('a')).toBe(VALUE);
    expect(await store.get('b')).toBeUndefined();
    expect(await store.get('c')).toBe(VALUE);
  });

  it('lets one that is larger than all it holds push nothing out', async () => {
    const store = new BoundedMemoryStore(2_000);
    await store.set('a', VALUE, 1_000);
    await store.set('b', 'x'.repeat(2_000), 1_000);
    expect(await store.get('a')).toBe(VALUE);
    expect(await store.get('b')).toBeUndefined();
  });
});
