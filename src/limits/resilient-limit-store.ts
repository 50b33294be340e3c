import { DegradedWindows, ISOLATED_SHARE } from './degraded-windows.js';
import {
  type Charge,
  type Decision,
  type LimitStore,
  type MaybePromise,
  type Slot,
  SLOT_RENEWAL_MS,
  type WindowRule,
} from './limit-store.js';
import { type Heartbeat, NO_SEED, type RemoteLimitStore, type Seed } from './remote-limit-store.js';
import { RemoteSwitch } from './remote-switch.js';
import { SlotTable } from './slot-table.js';

/** Between two looks at a store that is away. */
const PROBE_INTERVAL_MS = 1000;
/** Probes without an answer on a connection that seems alive: its other end may have vanished. */
const PROBES_TO_RECONNECT = 5;
/** After an outage this many windows are told at once, at most so many per rule; the rest with their next request. */
const SEEDS_AT_ONCE = 50;
const MAX_SEEDS = 10_000;
const MAX_SLOTS_PER_CALL = 200;

export interface ResilientLimitStoreOptions {
  /** Called on every change, and once at the start. `reason`: how the store failed. */
  readonly onMode: (isDegraded: boolean, reason?: string) => void;
  /** Instances known to share the store before it has told: who was never told must not think itself alone. Default 1. */
  readonly instances?: number;
  readonly now?: () => number;
  readonly maxWindowsPerRule?: number;
}

/**
 * A shared store that may slow down or vanish, and what this instance does then: it decides alone, from what it
 * knows, and tells the store about it when it is back, so that neither an outage nor a restart is a free reset.
 *
 * No request waits for longer than one command timeout of the remote store, and after three failures for nothing.
 */
export class ResilientLimitStore implements LimitStore {
  readonly #windows: DegradedWindows;
  readonly #ownSlots: SlotTable;
  readonly #heldSlots = new Set<Slot>();
  readonly #rules = new Map<string, WindowRule>();
  readonly #switch: RemoteSwitch;
  readonly #now: () => number;
  #instances: number;
  #marker: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failedProbes = 0;
  #beating: Promise<void> | undefined;
  #isStopped = false;

  constructor(
    private readonly remote: RemoteLimitStore,
    private readonly options: ResilientLimitStoreOptions,
  ) {
    this.#now = options.now ?? (() => performance.now());
    this.#instances = Math.max(1, options.instances ?? 1);
    this.#windows = new DegradedWindows(this.#now, options.maxWindowsPerRule);
    this.#ownSlots = new SlotTable();
    this.#switch = new RemoteSwitch((isAway) => this.#changed(isAway));
    remote.onConnection?.((isUp) => {
      if (isUp) void this.#beat();
      else if (!this.#isStopped) this.#switch.disconnected();
    });
  }

  /** Looks at the store for the first time. Resolves also when it is not there. */
  async start(): Promise<void> {
    await this.#beat();
    if (this.#marker === undefined) this.#switch.disconnected();
    else this.options.onMode(false);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  get isDegraded(): boolean {
    return this.#switch.isAway;
  }

  get status(): { since: Date; instances: number; lastError: string | undefined } {
    return { since: this.#switch.since, instances: this.#instances, lastError: this.#switch.lastError };
  }

  take(charges: readonly Charge[]): MaybePromise<Decision> {
    for (const { rule } of charges) if (this.#rules.get(rule.name) !== rule) this.#rules.set(rule.name, rule);
    if (this.#switch.isAway) return this.#windows.decide(charges, this.#instances);
    return this.#takeRemote(charges);
  }

  async correct(charge: Charge, delta: number): Promise<void> {
    if (!this.#switch.isAway) {
      try {
        await this.remote.correct(charge, delta);
        return;
      } catch (error) {
        this.#switch.failed(error);
      }
    }
    this.#windows.correct(charge, delta);
  }

  async acquireSlot(slot: Slot, limit: number): Promise<boolean> {
    const granted = await this.#acquire(slot, limit);
    if (granted) {
      this.#heldSlots.add(slot);
      this.#ownSlots.hold(slot, this.#now());
    }
    return granted;
  }

  async releaseSlot(slot: Slot): Promise<void> {
    this.#heldSlots.delete(slot);
    this.#ownSlots.release(slot);
    if (this.#switch.isAway) return;
    try {
      await this.remote.releaseSlot(slot);
    } catch (error) {
      this.#switch.failed(error); // the slot lapses by itself
    }
  }

  async #takeRemote(charges: readonly Charge[]): Promise<Decision> {
    // Told only to a store that answers: a frozen one carries out what timed out when it wakes, and would count it twice.
    const seeds = charges.map((charge) => (this.#switch.isShaky ? NO_SEED : this.#windows.takeSeed(charge)));
    try {
      const decision = await this.#told(charges, seeds);
      this.#switch.worked();
      return decision;
    } catch (error) {
      this.#switch.failed(error);
      return this.#windows.decide(charges, this.#instances);
    }
  }

  async #told(charges: readonly Charge[], seeds: readonly Seed[]): Promise<Decision> {
    try {
      const decision = await this.remote.take(charges, seeds);
      this.#windows.observe(charges, decision.windows);
      return decision;
    } catch (error) {
      for (const [index, charge] of charges.entries()) this.#windows.restore(charge, seeds[index]!);
      throw error;
    }
  }

  async #acquire(slot: Slot, limit: number): Promise<boolean> {
    if (!this.#switch.isAway) {
      try {
        return await this.remote.acquireSlot(slot, limit);
      } catch (error) {
        this.#switch.failed(error);
      }
    }
    const share = Math.min(limit, Math.ceil((limit * ISOLATED_SHARE) / this.#instances));
    return this.#ownSlots.held(slot.key, this.#now()) < share;
  }

  /** Says that this instance lives, and finds out whether the store does. One timer, never two looks at a time. */
  #beat(): Promise<void> {
    this.#beating ??= this.#beatOnce().finally(() => (this.#beating = undefined));
    return this.#beating;
  }

  async #beatOnce(): Promise<void> {
    if (this.#isStopped) return;
    try {
      this.#noteHeartbeat(await this.remote.heartbeat());
      await this.#renewOwnSlots();
      this.#failedProbes = 0;
      this.#switch.worked();
    } catch (error) {
      this.#switch.failed(error);
      if (++this.#failedProbes % PROBES_TO_RECONNECT === 0) this.remote.reconnect?.(error);
    }
    this.#beatIn(this.#failedProbes > 0 ? PROBE_INTERVAL_MS : SLOT_RENEWAL_MS);
  }

  #beatIn(delayMs: number): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#beat(), delayMs);
    this.#timer.unref();
  }

  #noteHeartbeat({ instances, marker }: Heartbeat): void {
    this.#instances = instances;
    if (this.#marker !== undefined && this.#marker !== marker) {
      this.#windows.storeLostItsData();
      if (!this.#switch.isAway) void this.#tellWindows();
    }
    this.#marker = marker;
  }

  async #renewOwnSlots(): Promise<void> {
    const slots = [...this.#heldSlots];
    for (let start = 0; start < slots.length; start += MAX_SLOTS_PER_CALL) {
      const batch = slots.slice(start, start + MAX_SLOTS_PER_CALL);
      // One that was given back meanwhile would be taken anew, by nobody.
      await this.remote.renewSlots(batch.filter((slot) => this.#heldSlots.has(slot)));
    }
  }

  #changed(isAway: boolean): void {
    this.options.onMode(isAway, isAway ? this.#switch.lastError : undefined);
    if (isAway) this.#beatIn(PROBE_INTERVAL_MS);
    else void this.#tellWindows();
  }

  /** Tells the store what was granted without it, the latest users first. Others follow with their next request. */
  async #tellWindows(): Promise<void> {
    for (const rule of this.#rules.values()) {
      const keys = this.#windows.unsettledKeys(rule.name, MAX_SEEDS).reverse();
      for (let start = 0; start < keys.length; start += SEEDS_AT_ONCE) {
        const told = await Promise.allSettled(
          keys.slice(start, start + SEEDS_AT_ONCE).map((key) => this.#tell({ rule, key, cost: 0 })),
        );
        if (this.#isStopped || told.some(({ status }) => status === 'rejected')) return;
      }
    }
  }

  async #tell(charge: Charge): Promise<void> {
    const seed = this.#windows.takeSeed(charge);
    if (seed.granted > 0 || seed.floor > 0) await this.#told([charge], [seed]);
  }
}
