import { describe, expect, it } from 'vitest';
import type { Slot } from './limit-store.js';
import type { RemoteLimitStore } from './remote-limit-store.js';
import { ResilientLimitStore } from './resilient-limit-store.js';

describe('ResilientLimitStore', () => {
  it('keeps slots taken for as long as answers last, however long the store is away', async () => {
    const away = () => Promise.reject(new Error('away'));
    const remote: RemoteLimitStore = {
      take: away,
      correct: away,
      acquireSlot: away,
      releaseSlot: away,
      heartbeat: away,
      renewSlots: away,
    };
    let nowMs = 0;
    const store = new ResilientLimitStore(remote, { onMode: () => undefined, now: () => nowMs });
    await store.start();
    const long = { key: 'alice', holder: 'long' };
    expect(await store.acquireSlot(long, 1)).toBe(true);
    nowMs += 600_000;
    expect(await store.acquireSlot({ key: 'alice', holder: 'second' }, 1)).toBe(false);
    await store.releaseSlot(long);
    expect(await store.acquireSlot({ key: 'alice', holder: 'second' }, 1)).toBe(true);
    store.stop();
  });

  it('renews no slot that is given back while others are renewed', async () => {
    const slots = Array.from({ length: 300 }, (_, at): Slot => ({ key: 'alice', holder: `holder-${at}` }));
    const renewed: string[][] = [];
    let isAcquired = false;
    const remote: RemoteLimitStore = {
      take: () => Promise.reject(new Error('not asked')),
      correct: () => Promise.resolve(),
      acquireSlot: () => Promise.resolve(true),
      releaseSlot: () => Promise.resolve(),
      heartbeat: () => Promise.resolve({ instances: 1, marker: 'm' }),
      renewSlots: async (batch) => {
        renewed.push(batch.map(({ holder }) => holder));
        if (isAcquired && renewed.length === 1) await store.releaseSlot(slots.at(-1)!);
      },
    };
    const store = new ResilientLimitStore(remote, { onMode: () => undefined });
    for (const slot of slots) await store.acquireSlot(slot, 1_000);
    isAcquired = true;
    await store.start();
    store.stop();
    expect(renewed.map((batch) => batch.length)).toEqual([200, 99]);
    expect(renewed.flat()).not.toContain(slots.at(-1)!.holder);
  });
});
