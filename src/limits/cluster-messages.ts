import type { Charge, Decision, Slot } from './limit-store.js';
import type { Heartbeat, Seed } from './remote-limit-store.js';

/** What a worker asks of the primary process. `channel` tells these messages from others on the same pipe. */
export interface LimitQuestion {
  readonly channel: 'limits';
  readonly id: number;
  readonly ask:
    | { readonly operation: 'take'; readonly charges: readonly Charge[]; readonly seeds: readonly Seed[] }
    | { readonly operation: 'correct'; readonly charge: Charge; readonly delta: number }
    | { readonly operation: 'acquireSlot'; readonly slot: Slot; readonly limit: number }
    | { readonly operation: 'renewSlots'; readonly slots: readonly Slot[] }
    | { readonly operation: 'releaseSlot'; readonly slot: Slot }
    | { readonly operation: 'heartbeat' };
}

export interface LimitAnswer {
  readonly channel: 'limits';
  readonly id: number;
  readonly answer: Decision | boolean | Heartbeat | null;
}

export function isLimitMessage(message: unknown): message is { channel: 'limits'; id: number } {
  return (
    typeof message === 'object' && message !== null && 'channel' in message && message.channel === 'limits'
  );
}
