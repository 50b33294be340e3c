import { Random } from '../support/random.js';
import { MoneyTables, type Settlement } from './money-tables.js';

/** The rules that keep the money right. Each can be broken, and then the checks must find it. */
export interface Rules {
  /** A hold is given only when the money is free. */
  readonly guard: boolean;
  /** A hold that has ended is not settled again. */
  readonly idempotentSettle: boolean;
  /** A charge is in the journal before it is promised. */
  readonly journal: boolean;
  /** Holds of the dead are freed when their journal was replayed; otherwise by the clock, whatever is still to come. */
  readonly evidence: boolean;
  /** A journal is booked before its epoch is declared replayed. */
  readonly replayFirst: boolean;
  /** A process asks for its own holds that it knows nothing of. */
  readonly tendForgotten: boolean;
}

export const SOUND: Rules = {
  guard: true,
  idempotentSettle: true,
  journal: true,
  evidence: true,
  replayFirst: true,
  tendForgotten: true,
};

export interface Verdict {
  /** Steps after which the tables were wrong: negative, overdrawn, or not the sum of their parts. */
  readonly broken: number;
  /** Promised to a client, and in no ledger. */
  readonly lost: number;
  readonly double: number;
  /** What nobody paid although no request cost more than its hold. */
  readonly shortfall: number;
  /** Money that stays reserved for requests that are no more. */
  readonly stranded: number;
  readonly promised: number;
  readonly crashes: number;
}

/** A request between its hold and its end. */
interface Running {
  readonly id: number;
  amount: number;
}

/** One boot of one process. */
interface Process {
  readonly epoch: number;
  readonly running: Map<number, Running>;
  /** The settler's queue: in memory, gone with the process. */
  queue: Settlement[];
  isFrozen: boolean;
  isFenced: boolean;
  /** The journal it is taking over: read, and booked up to here. */
  takingOver: { readonly epoch: number; readonly left: Settlement[] } | undefined;
}

const PROCESSES = 3;
const GRANT = 400;
const TERM = 60;

/**
 * A few gateways on one account, one disk and one database, in a world where everything goes wrong: kills, freezes,
 * answers that are lost before or after the statement was done, statements that arrive after their process died.
 */
export class MoneyWorld {
  readonly #random: Random;
  readonly #tables: MoneyTables;
  readonly #processes = new Map<number, Process>();
  /** What lies on the disk, by epoch. Survives its process. */
  readonly #journals = new Map<number, Settlement[]>();
  readonly #promised = new Map<number, number>();
  /** Statements on their way, of processes that may be dead when they arrive. */
  #inFlight: (() => void)[] = [];
  #now = 0;
  #lastId = 0;
  #lastEpoch = 0;
  #broken = 0;
  #crashes = 0;

  constructor(
    seed: number,
    private readonly rules: Rules = SOUND,
  ) {
    this.#random = new Random(seed);
    this.#tables = new MoneyTables(GRANT, rules);
    for (let index = 0; index < PROCESSES; index += 1) this.#boot();
  }

  /** Plays a history, then heals everything and looks what is left. */
  play(steps: number): Verdict {
    for (let step = 0; step < steps; step += 1) {
      this.#now += 1;
      this.#act();
      this.#check();
    }
    this.#heal();
    return this.#judge();
  }

  #boot(): void {
    this.#lastEpoch += 1;
    const epoch = this.#lastEpoch;
    this.#journals.set(epoch, []);
    this.#processes.set(epoch, {
      epoch,
      running: new Map(),
      queue: [],
      isFrozen: false,
      isFenced: false,
      takingOver: undefined,
    });
  }

  #act(): void {
    const random = this.#random;
    if (random.chance(0.3)) this.#deliver();
    if (random.chance(0.02)) this.#tables.sweep(this.rules.evidence ? this.#now - 100_000 : this.#now);
    if (random.chance(0.05) && this.#processes.size < PROCESSES) this.#boot();
    const process = this.#anyOf([...this.#processes.values()]);
    if (!process) return this.#boot();
    if (random.chance(0.01)) return this.#kill(process);
    if (random.chance(0.02)) process.isFrozen = !process.isFrozen;
    if (!process.isFrozen) this.#live(process);
  }

  /** A living process does one of the things it does. */
  #live(process: Process): void {
    switch (this.#random.below(7)) {
      case 0:
      case 1:
        return this.#begin(process);
      case 2:
        return this.#grow(process);
      case 3:
        return this.#end(process);
      case 4:
        return this.#flush(process);
      case 5:
        return this.#takeOver(process);
      default:
        return this.#tend(process);
    }
  }

  #anyOf<T>(items: readonly T[]): T | undefined {
    return items[this.#random.below(items.length)];
  }

  #begin(process: Process): void {
    if (process.isFenced) return;
    this.#lastId += 1;
    const id = this.#lastId;
    const amount = 1 + this.#random.below(40);
    let granted = false;
    const outcome = this.#send(() => {
      granted = this.#tables.hold(id, process.epoch, amount, this.#now + TERM);
    });
    if (outcome === 'answered' && granted) process.running.set(id, { id, amount });
  }

  #grow(process: Process): void {
    const request = this.#anyOf([...process.running.values()]);
    if (!request) return;
    const by = 1 + this.#random.below(10);
    let extended = false;
    const outcome = this.#send(() => {
      extended = this.#tables.extend(request.id, by);
    });
    if (outcome === 'answered' && extended) request.amount += by;
  }

  /** Costs are never above what is held, so that every shortfall is a fault of the rules. */
  #end(process: Process): void {
    const request = this.#anyOf([...process.running.values()]);
    if (!request) return;
    process.running.delete(request.id);
    const cost = this.#random.chance(0.2) ? undefined : this.#random.below(request.amount + 1);
    const settlement: Settlement = { id: request.id, epoch: process.epoch, cost };
    if (cost !== undefined) {
      if (this.rules.journal) this.#journals.get(process.epoch)?.push(settlement);
      // Killed after the journal and before the promise: charged, and the client does not know.
      if (this.#random.chance(0.02)) return this.#kill(process);
      this.#promised.set(request.id, cost);
    }
    process.queue.push(settlement);
  }

  #flush(process: Process): void {
    const batch = process.queue.slice(0, 5);
    const outcome = this.#send(() => {
      for (const settlement of batch) this.#tables.settle(settlement);
    });
    if (outcome === 'answered') process.queue = process.queue.slice(batch.length);
  }

  #takeOver(process: Process): void {
    if (!process.takingOver) {
      const dead = [...this.#journals.keys()].filter((epoch) => !this.#processes.has(epoch));
      const epoch = this.#anyOf(dead);
      if (epoch === undefined) return;
      process.takingOver = { epoch, left: [...(this.#journals.get(epoch) ?? [])] };
      if (!this.rules.replayFirst) this.#tables.markReplayed(epoch);
      return;
    }
    const { epoch, left } = process.takingOver;
    const next = left[0];
    if (next) {
      if (this.#send(() => this.#tables.settle(next)) === 'answered') left.shift();
      return;
    }
    if (this.#send(() => this.#tables.markReplayed(epoch)) !== 'answered') return;
    this.#journals.delete(epoch);
    process.takingOver = undefined;
    this.#tables.sweep(this.#now - 100_000);
  }

  #tend(process: Process): void {
    if (this.#tables.replayed.has(process.epoch)) process.isFenced = true;
    if (!this.rules.tendForgotten) return;
    const known = new Set([...process.running.keys(), ...process.queue.map(({ id }) => id)]);
    for (const { id } of this.#tables.openOf(process.epoch)) {
      if (!known.has(id)) process.queue.push({ id, epoch: process.epoch, cost: undefined });
    }
  }

  #kill(process: Process): void {
    this.#crashes += 1;
    this.#processes.delete(process.epoch);
  }

  /** One statement: done and answered, done and not answered, not done, or done some time later. */
  #send(statement: () => void): 'answered' | 'unknown' {
    const fate = this.#random.next();
    if (fate < 0.9) {
      statement();
      return 'answered';
    }
    if (fate < 0.94) statement();
    else if (fate < 0.97) this.#inFlight.push(statement);
    return 'unknown';
  }

  #deliver(): void {
    this.#inFlight.shift()?.();
  }

  #check(): void {
    const { balance, held, granted, ledger, holds } = this.#tables;
    const charged = ledger.reduce((sum, entry) => sum + entry.amount, 0);
    let open = 0;
    for (const hold of holds.values()) if (hold.state === 'open') open += hold.amount;
    if (held < 0 || held > balance || balance !== granted - charged || held !== open) this.#broken += 1;
  }

  /** Everything works again, and the processes do what they do until there is nothing left to do. */
  #heal(): void {
    while (this.#inFlight.length > 0) this.#deliver();
    this.#boot();
    for (const process of this.#processes.values()) {
      process.isFrozen = false;
      for (const id of process.running.keys())
        process.queue.push({ id, epoch: process.epoch, cost: undefined });
      process.running.clear();
      this.#tend(process);
      for (const settlement of process.queue) this.#tables.settle(settlement);
    }
    for (const [epoch, settlements] of this.#journals) {
      if (this.#processes.has(epoch)) continue;
      for (const settlement of settlements) this.#tables.settle(settlement);
      this.#tables.markReplayed(epoch);
    }
    this.#tables.sweep(-1);
  }

  #judge(): Verdict {
    const charges = new Map<number, number>();
    let double = 0;
    for (const { id } of this.#tables.ledger) {
      double += charges.has(id) ? 1 : 0;
      charges.set(id, 1);
    }
    let lost = 0;
    for (const id of this.#promised.keys()) if (!charges.has(id)) lost += 1;
    let shortfall = 0;
    for (const hold of this.#tables.holds.values()) shortfall += hold.shortfall;
    return {
      broken: this.#broken,
      lost,
      double,
      shortfall,
      stranded: this.#tables.held,
      promised: this.#promised.size,
      crashes: this.#crashes,
    };
  }
}
