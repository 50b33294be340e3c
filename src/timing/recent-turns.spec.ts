import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { RecentTurns } from './recent-turns.js';

describe('the share of a core', () => {
  it('is that of the busy time while the loop works, and less while it is kept waiting', async () => {
    const working = new RecentTurns();
    const end = performance.now() + 300;
    while (performance.now() < end);
    await sleep(1);
    const workedCpu = working.cpu;
    const waiting = new RecentTurns();
    execFileSync('sleep', ['0.5']);
    await sleep(1);
    expect(waiting.utilization).toBeGreaterThan(0.8);
    expect(waiting.cpu).toBeLessThan(0.3);
    // however little of a core a busy machine gave
    expect(workedCpu).toBeGreaterThan(0.05);
    expect(workedCpu).toBeLessThanOrEqual(1);
  });
});
