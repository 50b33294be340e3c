import { describe, expect, it } from 'vitest';
import { Telemetry } from '../telemetry/telemetry.js';
import { InFlight } from './in-flight.js';

describe('InFlight', () => {
  it('counts what began and has not ended, in whatever order it ends, and whoever says so twice', () => {
    const inFlight = new InFlight(new Telemetry());
    const [first, second, third] = [inFlight.begin(), inFlight.begin(), inFlight.begin()];
    inFlight.end(first);
    inFlight.end(first);
    expect(inFlight.count).toBe(2);
    inFlight.end(third);
    const fourth = inFlight.begin();
    inFlight.end(second);
    expect(inFlight.count).toBe(1);
    inFlight.abortAll();
    expect(fourth.aborted).toBe(true);
    expect(first.aborted || second.aborted || third.aborted).toBe(false);
  });

  it('aborts all that are under way, those that end because of it too', () => {
    const inFlight = new InFlight(new Telemetry());
    const upstreams = Array.from({ length: 5 }, () => inFlight.begin());
    for (const upstream of upstreams) upstream.addEventListener('abort', () => inFlight.end(upstream));
    inFlight.abortAll();
    expect(upstreams.every(({ aborted }) => aborted)).toBe(true);
    expect(inFlight.count).toBe(0);
  });

  it('is idle at once when nothing is under way, and after its patience when something stays', async () => {
    const inFlight = new InFlight(new Telemetry());
    expect(await inFlight.idle(1000)).toBe(true);
    inFlight.begin();
    expect(await inFlight.idle(30)).toBe(false);
  });
});
