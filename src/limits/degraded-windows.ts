import type { Charge, Decision, WindowRule, WindowState } from './limit-store.js';
import { NO_SEED, type Seed } from './remote-limit-store.js';
import { WindowTable } from './window-table.js';

/** No window outlives this: an hour and its last bucket. What was known before is worth nothing after. */
const LONGEST_WINDOW_MS = 3_660_000;

/** Of the limit, all instances together may grant this much while they cannot see each other. */
export const ISOLATED_SHARE = 1.2;

/**
 * What one instance knows of the shared windows, and what it grants from that knowledge while they are out of reach.
 *
 * `known` holds the last totals the store told, `granted` what this instance allowed on its own since. With n
 * instances each grant counts n / 1.2: all together then stay within 1.2 limits, alone exactly within the limit.
 */
export class DegradedWindows {
  readonly #known: WindowTable;
  readonly #granted: WindowTable;
  /** Keys whose `known` total the store was told since it lost its data; `undefined` = it lost none. */
  #toldFloors: Set<string> | undefined;
  #lostAtMs = 0;

  constructor(
    private readonly now: () => number,
    maxWindowsPerRule?: number,
  ) {
    this.#known = new WindowTable(maxWindowsPerRule);
    this.#granted = new WindowTable(maxWindowsPerRule);
  }

  /** Notes the totals of an answer of the store. */
  observe(charges: readonly Charge[], windows: readonly WindowState[]): void {
    const nowMs = this.now();
    for (const [index, { rule, key }] of charges.entries()) {
      this.#known.align(rule, key, nowMs, windows[index]!.used);
      this.#toldFloors?.add(floorId(rule, key));
    }
  }

  /** Notes units the store was told of outside of a charge. */
  correct({ rule, key }: Charge, delta: number): void {
    const nowMs = this.now();
    if (delta > 0) this.#granted.add(rule, key, nowMs, delta);
    else this.#granted.find(rule, key, nowMs)?.removeOldest(-delta);
  }

  /** From now on every window's total is told once more, as a floor. */
  storeLostItsData(): void {
    this.#toldFloors = new Set();
    this.#lostAtMs = this.now();
  }

  /** Takes what the store does not know yet; `restore` it if it could not be told. */
  takeSeed({ rule, key }: Charge): Seed {
    const nowMs = this.now();
    if (nowMs - this.#lostAtMs > LONGEST_WINDOW_MS) this.#toldFloors = undefined;
    const granted = this.#granted.find(rule, key, nowMs)?.sum ?? 0;
    const isTold = this.#toldFloors?.has(floorId(rule, key)) ?? true;
    const floor = isTold ? 0 : (this.#known.find(rule, key, nowMs)?.sum ?? 0);
    if (granted === 0 && floor === 0) return NO_SEED;
    this.#granted.remove(rule, key);
    return { granted, floor };
  }

  restore({ rule, key }: Charge, seed: Seed): void {
    this.#granted.add(rule, key, this.now(), seed.granted);
  }

  /** Keys of a rule that the store should hear of without waiting for the user's next request. */
  unsettledKeys(ruleName: string, limit: number): string[] {
    const keys = new Set(this.#granted.keys(ruleName));
    if (this.#toldFloors) for (const key of this.#known.keys(ruleName)) keys.add(key);
    return [...keys].slice(-limit);
  }

  decide(charges: readonly Charge[], instances: number): Decision {
    const nowMs = this.now();
    const weight = Math.max(1, instances / ISOLATED_SHARE);
    const refusedBy = charges.findIndex(
      (charge) => this.#used(charge, weight, nowMs) + weightedCost(charge, weight) > charge.rule.limit,
    );
    const allowed = refusedBy === -1;
    if (allowed) for (const { rule, key, cost } of charges) this.#granted.add(rule, key, nowMs, cost);
    return {
      allowed,
      refusedBy,
      retryAfterMs: allowed ? 0 : Math.max(1, this.#state(charges[refusedBy]!, weight, nowMs).growsInMs),
      windows: charges.map((charge) => this.#state(charge, weight, nowMs)),
      degraded: true,
    };
  }

  #used({ rule, key }: Charge, weight: number, nowMs: number): number {
    const known = this.#known.find(rule, key, nowMs)?.sum ?? 0;
    return known + weight * (this.#granted.find(rule, key, nowMs)?.sum ?? 0);
  }

  #state(charge: Charge, weight: number, nowMs: number): WindowState {
    const { rule, key } = charge;
    const known = this.#known.find(rule, key, nowMs)?.state(nowMs);
    const granted = this.#granted.find(rule, key, nowMs)?.state(nowMs);
    return {
      used: Math.ceil(this.#used(charge, weight, nowMs)),
      growsInMs: Math.min(known?.growsInMs || Infinity, granted?.growsInMs || Infinity, rule.windowMs),
      emptyInMs: Math.max(known?.emptyInMs ?? 0, granted?.emptyInMs ?? 0),
    };
  }
}

/** A charge that fills the whole limit is granted to an empty window, on each instance. */
function weightedCost({ rule, cost }: Charge, weight: number): number {
  return Math.min(cost * weight, Math.max(rule.limit, cost));
}

function floorId(rule: WindowRule, key: string): string {
  return `${rule.name}\n${key}`;
}
