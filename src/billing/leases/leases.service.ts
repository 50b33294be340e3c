import { larger, MAX_NANO, type NanoUsd, smaller } from '@app/money';
import { Inject, Injectable } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { uuidV7 } from '../../edge/uuid-v7.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import type { Grant } from '../holds/hold-order.js';
import { MoneyDatabase, retryOnce } from '../money-database.js';
import { OutageCredit } from '../outage/outage-credit.service.js';
import { AFTERLIFE_MS } from '../session/holding-sessions.js';
import { toTextArray } from '../text-array.js';
import { GatewayInstance } from '../upkeep/gateway-instance.service.js';
import { ActiveUsers } from './active-users.js';
import { LeaseGrants, type LeaseWish } from './lease-grants.js';
import { Lease } from './lease.js';
import {
  FIND_FORGOTTEN_LEASES,
  LOOK_FOR_FREE,
  NOTE_HELD_AND_FIND_RECALLED,
  RECALL_LEASES,
  RENEW_LEASES,
  RETURN_LEASES,
  SHRINK_LEASE,
} from './lease-statements.js';

/** A lease covers so many requests like the one that asks. */
const REQUESTS_AHEAD = 16n;
/** For fewer it is not worth its statement. */
const LEAST_REQUESTS = 2n;
/** A grant is at most the fifth part of what a user has free: the rest is for other instances. */
const SHARE = 5n;
const RENEW_BATCH_SIZE = 50;
const RETURN_BATCH_SIZE = 500;
/** A lease that was not used for so long is given back. */
const IDLE_MS = 30_000;
/** A lease is used for this part of its term at most, and renewed after a quarter of it. */
const SAFE_PART = 0.8;
const RENEW_AFTER_PART = 0.25;
/** Other instances are told no more often what requests hold of a lease: each time a row is written. */
const TELL_EVERY_MS = 2000;
/** The answer to the grant of a younger lease may still be on its way. */
const SPARE_MS = 30_000;
/** Other instances look twice a second for recalled leases. */
const RECALL_ROUNDS = 8;
const RECALL_ROUND_MS = 150;
/** For a request that would do with less. */
const ROUNDS_FOR_ALL = 5;

/**
 * Reserves money ahead for users who ask again and again, so that their requests wait for no statement and share no row
 * with each other. Never needed: whoever gets nothing here holds in the database as everybody else does.
 *
 * What is reserved ahead is part of `held_nano`, so all instances together never promise more than there is. It comes back
 * as holds do: from its owner, when it is idle, when it is recalled, or by the evidence that the owner's journal was
 * replayed.
 */
@Injectable()
export class Leases {
  readonly #users = new ActiveUsers();
  /** Those that requests take their holds from, by user. */
  readonly #open = new Map<string, Lease>();
  /** Those that no request takes a hold from any more, until they are unused and given back. */
  readonly #closing = new Set<Lease>();
  readonly #growing = new Map<string, Promise<void>>();
  readonly #isEnabled: boolean;
  readonly #grants: LeaseGrants;

  constructor(
    private readonly database: MoneyDatabase,
    private readonly instance: GatewayInstance,
    private readonly credit: OutageCredit,
    telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    const { enabled, leases, outageMode, holdTtlMs } = config.billing;
    this.#grants = new LeaseGrants(database, instance.id, holdTtlMs);
    // With `closed` the database has to agree to every single request.
    this.#isEnabled = enabled && leases && outageMode === 'degraded';
    telemetry.addGauge({ name: 'leased', read: () => Number(this.#leasedNano()) / 1e9 });
  }

  /**
   * A hold out of a lease: at once when there is enough in it, or after one statement when the user is active and it has to
   * be granted first.
   *
   * @param amountNano  what to hold
   * @param needNano    what must be free; at least that
   * @returns the lease that the request holds of; `undefined`: hold it in the database
   * @throws what holding in the database throws while it is away
   */
  hold(
    userId: string,
    amountNano: NanoUsd,
    needNano: NanoUsd,
  ): Lease | Promise<Lease | undefined> | undefined {
    if (!this.#isEnabled) return undefined;
    const lease = this.#open.get(userId);
    if (lease?.hold(amountNano, needNano)) return lease;
    if (lease?.isOver() || !this.#users.see(userId)) return undefined;
    return this.#growAndHold(userId, amountNano, needNano);
  }

  /** More for a request that holds of this lease, open or closing. False when the account does not have that much. */
  async extend(lease: Lease, byNano: NanoUsd): Promise<boolean> {
    if (lease.extend(byNano)) return true;
    const { id, userId } = lease;
    for (let other = this.#growing.get(userId); other; other = this.#growing.get(userId)) {
      await other.catch(() => undefined);
      if (lease.extend(byNano)) return true;
    }
    let isCovered = false;
    await this.#inTurn(userId, async () => {
      const wish = {
        id,
        userId,
        isNew: false,
        isRunning: true,
        wantNano: byNano,
        leastNano: byNano,
        share: 1n,
      };
      const grant = await this.#ask(lease, wish);
      if (grant === 'refused') return;
      lease.growHeld(grant.amountNano);
      isCovered = true;
    });
    return isCovered;
  }

  /** Whose leases these are. */
  get instanceId(): string {
    return this.instance.id;
  }

  /** What requests of this instance hold of leases of this user. */
  heldNano(userId: string): NanoUsd {
    let sumNano = this.#open.get(userId)?.heldNano ?? 0n;
    for (const lease of this.#closing) if (lease.userId === userId) sumNano += lease.heldNano;
    return sumNano;
  }

  /**
   * Gives back what is unused of this instance's lease of a user.
   *
   * @returns whether something came back here
   */
  async recall(userId: string): Promise<boolean> {
    this.#users.pause(userId);
    const lease = this.#open.get(userId);
    if (!lease) return false;
    const hadSome = lease.freeNano > 0n;
    await this.#close([lease]);
    return hadSome;
  }

  /**
   * Has the other instances give back theirs, which they do within a second or so.
   *
   * @returns whether one of them had not been asked before
   */
  async recallElsewhere(userId: string): Promise<boolean> {
    const rows = await this.database.query(RECALL_LEASES, [userId, this.instance.id]);
    return rows.length > 0;
  }

  /**
   * Tries again what found too little free, while the user's leases come back, here and elsewhere.
   *
   * @param attempt  gives nothing, or false, when there is still too little
   * @returns what the last attempt gave
   */
  async recallAndRetry<T>(userId: string, attempt: () => Promise<T>): Promise<T> {
    await this.recall(userId);
    for (let round = 1; ; round += 1) {
      // In each round: what one instance gave back, another may just have been granted.
      await this.recallElsewhere(userId);
      const result = await attempt();
      if (result || round === RECALL_ROUNDS || !(await this.#look(userId)).isOut) return result;
      await sleep(RECALL_ROUND_MS);
    }
  }

  /**
   * What an account has free when its leases have come back: those here, and those elsewhere, which takes up to 0.75 s. An
   * instance that was asked before and has not given its lease back is using it, and is not waited for.
   *
   * @param enoughNano  no need to wait for more
   */
  async freeAfterRecall(userId: string, enoughNano: NanoUsd): Promise<NanoUsd> {
    await this.recall(userId);
    let { freeNano, isOut } = await this.#look(userId);
    if (freeNano >= enoughNano || !isOut || !(await this.recallElsewhere(userId))) return freeNano;
    for (let round = 0; round < ROUNDS_FOR_ALL && isOut && freeNano < enoughNano; round += 1) {
      await sleep(RECALL_ROUND_MS);
      ({ freeNano, isOut } = await this.#look(userId));
    }
    return freeNano;
  }

  /** What is due from time to time: see `LeaseUpkeep`. */
  async tend(idleMs = IDLE_MS): Promise<void> {
    if (this.#open.size === 0 && this.#closing.size === 0) return;
    await this.#renew();
    for (const lease of this.#closing) if (lease.isOver() && this.#isForgotten(lease)) this.#drop(lease);
    const leaving = [...this.#idle(idleMs), ...(await this.#tellAndFindRecalled())];
    await this.#close([...new Set(leaving)]);
    await this.#giveBack([...this.#closing]);
  }

  /** Gives back leases that the database has for this instance and that nobody here knows of. */
  async tendForgotten(spareMs = SPARE_MS): Promise<void> {
    if (!this.#grants.wasAsked) return;
    const known = this.#all().map((lease) => lease.id);
    const parameters = [this.instance.id, [...known, ...this.#grants.pendingIds], spareMs];
    const rows = await this.database.query<{ id: string; user_id: string }>(
      FIND_FORGOTTEN_LEASES,
      parameters,
    );
    if (rows.length > 0) await this.#return(rows.map((row) => ({ id: row.id, userId: row.user_id })));
  }

  /** Gives back everything that no request holds of, for good: this instance takes no more requests. */
  leave(): Promise<void> {
    return this.#close(this.#all());
  }

  /** @returns what is free, and whether other instances have leases */
  async #look(userId: string): Promise<{ readonly freeNano: NanoUsd; readonly isOut: boolean }> {
    const [row] = await this.database.query<{ free_nano: string; is_out: boolean }>(LOOK_FOR_FREE, [
      userId,
      this.instance.id,
    ]);
    return { freeNano: BigInt(row?.free_nano ?? 0), isOut: row?.is_out ?? false };
  }

  async #growAndHold(userId: string, amountNano: NanoUsd, needNano: NanoUsd): Promise<Lease | undefined> {
    const grow = (): Promise<void> => this.#grow(userId, needNano);
    await (this.#growing.get(userId) ?? this.#inTurn(userId, grow));
    const lease = this.#open.get(userId);
    return lease?.hold(amountNano, needNano) ? lease : undefined;
  }

  /** One at a time for each user: a batch of grants takes no user twice. */
  #inTurn(userId: string, grow: () => Promise<void>): Promise<void> {
    const growing = grow().finally(() => this.#growing.delete(userId));
    this.#growing.set(userId, growing);
    return growing;
  }

  async #grow(userId: string, needNano: NanoUsd): Promise<void> {
    const lease = this.#open.get(userId);
    const askedMs = performance.now();
    const wish: LeaseWish = {
      id: lease?.id ?? uuidV7(),
      userId,
      isNew: lease === undefined,
      isRunning: false,
      wantNano: smaller(
        larger(needNano * REQUESTS_AHEAD, lease ? lease.freeNano + lease.heldNano : 0n),
        MAX_NANO,
      ),
      leastNano: smaller(needNano * (lease ? 1n : LEAST_REQUESTS), MAX_NANO),
      share: SHARE,
    };
    const grant = await this.#ask(lease, wish);
    if (grant === 'refused') {
      // Money is short: it had better be where every instance and every request finds it.
      await this.recall(userId);
      return;
    }
    this.credit.noteAvailable(userId, grant.freeNano - grant.amountNano);
    if (lease) return lease.grow(grant.amountNano);
    this.#open.set(
      userId,
      new Lease(wish.id, userId, grant.amountNano, this.#validUntil(askedMs), this.instance),
    );
  }

  async #ask(lease: Lease | undefined, wish: LeaseWish): Promise<Grant | 'refused'> {
    try {
      return await this.#grants.ask(wish);
    } catch (error) {
      if (lease) lease.isUncertain = true;
      throw error;
    }
  }

  #idle(idleMs: number): Lease[] {
    const sinceMs = performance.now() - idleMs;
    return [...this.#open.values()].filter((lease) => lease.isUncertain || lease.lastUsedMs < sinceMs);
  }

  async #tellAndFindRecalled(): Promise<Lease[]> {
    const nowMs = performance.now();
    const news = this.#all()
      .filter((lease) => lease.heldNano !== lease.toldNano && nowMs - lease.toldMs >= TELL_EVERY_MS)
      .map((lease) => ({ lease, heldNano: lease.heldNano }));
    const rows = await this.database.query<{ id: string; is_recalled: boolean }>(
      NOTE_HELD_AND_FIND_RECALLED,
      [
        this.instance.id,
        toTextArray(news.map(({ lease }) => lease.id)),
        toTextArray(news.map(({ heldNano }) => heldNano.toString())),
      ],
    );
    if (rows.length === 0) return [];
    const told = new Set(rows.filter((row) => !row.is_recalled).map((row) => row.id));
    for (const { lease, heldNano } of news) {
      if (!told.has(lease.id)) continue;
      lease.toldNano = heldNano;
      lease.toldMs = nowMs;
    }
    const ids = new Set(rows.filter((row) => row.is_recalled).map((row) => row.id));
    const recalled = [...this.#open.values()].filter((lease) => ids.has(lease.id));
    for (const lease of recalled) this.#users.pause(lease.userId);
    return recalled;
  }

  async #renew(): Promise<void> {
    const quarterMs = this.config.billing.holdTtlMs * RENEW_AFTER_PART;
    const dueMs = this.#validUntil(Math.max(performance.now() - quarterMs, this.instance.backInTouchMs));
    const due = this.#all().filter((lease) => lease.validUntilMs < dueMs && !this.#isForgotten(lease));
    for (let at = 0; at < due.length; at += RENEW_BATCH_SIZE)
      await this.#renewBatch(due.slice(at, at + RENEW_BATCH_SIZE));
  }

  /** What holds of it is older than any request can get: it was never settled, and comes back by the clock. */
  #isForgotten({ lastUsedMs }: Lease): boolean {
    return performance.now() - lastUsedMs > this.config.timeouts.requestMs + AFTERLIFE_MS;
  }

  async #renewBatch(leases: readonly Lease[]): Promise<void> {
    const nowMs = performance.now();
    const rows = await retryOnce(() =>
      this.database.query<{ id: string }>(RENEW_LEASES, [
        ...idsAndUsersOf(leases),
        this.config.billing.holdTtlMs,
      ]),
    );
    const renewed = new Set(rows.map((row) => row.id));
    for (const lease of leases) {
      if (renewed.has(lease.id)) lease.validUntilMs = this.#validUntil(nowMs);
      // Its term was over, and somebody gave it back.
      else this.#drop(lease);
    }
  }

  #validUntil(fromMs: number): number {
    return fromMs + this.config.billing.holdTtlMs * SAFE_PART;
  }

  #drop(lease: Lease): void {
    lease.empty();
    lease.validUntilMs = -Infinity;
    this.#closing.delete(lease);
    if (this.#open.get(lease.userId) === lease) this.#open.delete(lease.userId);
  }

  /** No further holds out of them; what is free in them goes back. */
  #close(leases: readonly Lease[]): Promise<void> {
    for (const lease of leases) {
      if (this.#open.get(lease.userId) === lease) this.#open.delete(lease.userId);
      this.#closing.add(lease);
    }
    return this.#giveBack(leases);
  }

  async #giveBack(leases: readonly Lease[]): Promise<void> {
    const unused = leases.filter((lease) => lease.isUnused);
    for (let at = 0; at < unused.length; at += RETURN_BATCH_SIZE) {
      const some = unused.slice(at, at + RETURN_BATCH_SIZE);
      for (const lease of some) lease.empty();
      await this.#return(some);
      for (const lease of some) this.#closing.delete(lease);
    }
    for (const lease of leases) {
      if (lease.isUnused || lease.freeNano === 0n) continue;
      // Emptied first: should the answer be lost, this comes back with the rest.
      const amountNano = lease.empty();
      await retryOnce(() =>
        this.database.query(SHRINK_LEASE, [lease.id, lease.userId, amountNano.toString()]),
      );
    }
  }

  async #return(leases: readonly LeaseName[]): Promise<void> {
    await retryOnce(() => this.database.query(RETURN_LEASES, idsAndUsersOf(leases)));
  }

  #leasedNano(): NanoUsd {
    return this.#all().reduce((sumNano, { freeNano, heldNano }) => sumNano + freeNano + heldNano, 0n);
  }

  #all(): Lease[] {
    return [...this.#open.values(), ...this.#closing];
  }
}

type LeaseName = Pick<Lease, 'id' | 'userId'>;

/** For statements that lock the accounts first. */
function idsAndUsersOf(leases: readonly LeaseName[]): [ids: string, users: string] {
  return [toTextArray(leases.map(({ id }) => id)), toTextArray(new Set(leases.map(({ userId }) => userId)))];
}
