import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { databaseUnavailable } from '../../database/connection-error.js';
import { type GatewayEvent, Telemetry } from '../../telemetry/telemetry.js';
import { RecurringWork } from './recurring-work.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function start(round: () => Promise<number | undefined>): {
  readonly work: RecurringWork;
  readonly events: readonly GatewayEvent[];
} {
  const events: GatewayEvent[] = [];
  const telemetry = new Telemetry();
  telemetry.addSink({ event: (event) => void events.push(event) });
  const work = new RecurringWork('work', telemetry, 1000, round);
  work.start();
  return { work, events };
}

it('goes on after a round that failed, and tells of it unless the database is away', async () => {
  const outcomes = [new Error('broken'), databaseUnavailable()];
  let rounds = 0;
  const { events } = start(async () => {
    rounds += 1;
    const error = outcomes.shift();
    if (error) throw error;
    return undefined;
  });
  await vi.advanceTimersByTimeAsync(3000);
  expect(rounds).toBe(3);
  expect(events).toMatchObject([{ kind: 'unexpected-error', where: 'work', error: { message: 'broken' } }]);
});

it('pauses for as long as the round says', async () => {
  let rounds = 0;
  start(async () => ((rounds += 1), 10));
  await vi.advanceTimersByTimeAsync(1025);
  expect(rounds).toBe(3);
});

it('is over when it is stopped during a round', async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let rounds = 0;
  const { work } = start(() => ((rounds += 1), promise));
  await vi.advanceTimersByTimeAsync(1000);
  work.stop();
  resolve(undefined);
  await vi.advanceTimersByTimeAsync(5000);
  expect(rounds).toBe(1);
});
