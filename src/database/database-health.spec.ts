import { expect, it } from 'vitest';
import { DatabaseHealth } from './database-health.js';

function down(): DatabaseHealth {
  const health = new DatabaseHealth();
  for (let failure = 0; failure < 3; failure += 1) health.failed(new Error(`failure ${failure}`));
  return health;
}

it('is up until three failures in a row', () => {
  const health = new DatabaseHealth();
  health.failed(new Error('one'));
  health.failed(new Error('two'));
  health.succeeded();
  health.failed(new Error('three'));
  expect(health.isUp).toBe(true);
  expect(health.mayTry()).toBe(true);
});

it('lets one attempt a second through while it is down', () => {
  const health = down();
  expect(health.isUp).toBe(false);
  expect(health.lastError?.message).toBe('failure 2');
  expect([0, 500, 999, 1_000, 1_500, 2_000].map((nowMs) => health.mayTry(nowMs))).toEqual([
    true,
    false,
    false,
    true,
    false,
    true,
  ]);
});

it('is up again after one success', () => {
  const health = down();
  health.succeeded();
  expect(health.isUp).toBe(true);
  expect(health.lastError).toBeUndefined();
});

it('tells of each turn once', () => {
  const health = new DatabaseHealth();
  const turns: unknown[] = [];
  health.onTurn = (turn) => void turns.push(turn);
  health.succeeded();
  for (let failure = 0; failure < 5; failure += 1) health.failed(new Error(`failure ${failure}`));
  health.succeeded();
  health.succeeded();
  health.failed(new Error('one'));
  expect(turns).toEqual([
    { isUp: false, error: new Error('failure 2') },
    { isUp: true, downForMs: expect.any(Number) },
  ]);
});
