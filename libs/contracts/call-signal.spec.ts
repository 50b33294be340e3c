import { describe, expect, it, vi } from 'vitest';
import { abortSignalOf, CallSwitch } from './call-signal.js';

describe('CallSwitch', () => {
  it('tells everybody once, and keeps the first reason', () => {
    const call = new CallSwitch();
    const [first, second, left] = [vi.fn(), vi.fn(), vi.fn()];
    for (const listener of [first, second, left]) call.addEventListener('abort', listener);
    call.removeEventListener('abort', left);
    expect(call.aborted).toBe(false);
    call.abort('gone');
    call.abort('too late');
    expect([call.aborted, call.reason]).toEqual([true, 'gone']);
    expect([first.mock.calls.length, second.mock.calls.length, left.mock.calls.length]).toEqual([1, 1, 0]);
  });

  it('has nothing to tell those who come when it is over', () => {
    const call = new CallSwitch();
    call.abort('gone');
    const late = vi.fn();
    call.addEventListener('abort', late);
    call.removeEventListener('abort', late);
    expect(late).not.toHaveBeenCalled();
  });

  it('lets a listener take itself and others away', () => {
    const call = new CallSwitch();
    const second = vi.fn();
    call.addEventListener('abort', () => call.removeEventListener('abort', second));
    call.addEventListener('abort', second);
    call.abort('gone');
    expect(call.aborted).toBe(true);
  });
});

describe('abortSignalOf', () => {
  it('leaves an AbortSignal as it is', () => {
    const { signal } = new AbortController();
    expect(abortSignalOf(signal)).toBe(signal);
  });

  it('follows any other, also one that is aborted already', () => {
    const call = new CallSwitch();
    const signal = abortSignalOf(call);
    expect(signal.aborted).toBe(false);
    const reason = new Error('gone');
    call.abort(reason);
    expect([signal.aborted, signal.reason]).toEqual([true, reason]);
    expect(abortSignalOf(call).reason).toBe(reason);
  });
});
