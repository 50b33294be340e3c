import type { Charge, Decision, Slot } from './limit-store.js';

/** What an instance knows better than the shared store, told with the next charge of the same window. */
export interface Seed {
  /** The count is at least this: told once after the store lost its data. Units. */
  readonly floor: number;
  /** Granted by this instance while the store was away. Units. */
  readonly granted: number;
}

export interface Heartbeat {
  /** Instances that share the store, this one included. */
  readonly instances: number;
  /** Another value than last time: the store has lost its data since. */
  readonly marker: string;
}

/** A store shared between processes: every call can fail, and ends soon either way. */
export interface RemoteLimitStore {
  /** @param seeds  one per charge */
  take(charges: readonly Charge[], seeds: readonly Seed[]): Promise<Decision>;
  correct(charge: Charge, delta: number): Promise<void>;
  acquireSlot(slot: Slot, limit: number): Promise<boolean>;
  renewSlots(slots: readonly Slot[]): Promise<void>;
  releaseSlot(slot: Slot): Promise<void>;
  heartbeat(): Promise<Heartbeat>;
  /** Tells when the connection comes and goes, where the store knows. */
  onConnection?(listener: (isUp: boolean) => void): void;
  /** Drops a connection that takes requests and gives no answers. `error`: how the last one failed. */
  reconnect?(error: unknown): void;
}

export const NO_SEED: Seed = Object.freeze({ floor: 0, granted: 0 });
