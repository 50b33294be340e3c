import { expect, it } from 'vitest';
import { AnsweredCalls } from './answered-calls.js';

it('gives each result to the first call of its id that has none, and those that are too many to the last', () => {
  const calls = new AnsweredCalls<string>();
  for (const call of ['first', 'second', 'third']) calls.add('id', call);
  expect(['id', 'id', 'id', 'id'].map((id) => calls.answer(id))).toEqual([
    'first',
    'second',
    'third',
    'third',
  ]);
  expect(calls.answer('other')).toBeUndefined();
});

it('begins anew with each turn of the model, and after a call that is to be forgotten', () => {
  const calls = new AnsweredCalls<string>();
  calls.add('id', 'of the first turn');
  calls.endTurn();
  calls.add('id', 'of the second');
  expect(calls.answer('id')).toBe('of the second');
  calls.forget('id');
  expect(calls.answer('id')).toBeUndefined();
});
