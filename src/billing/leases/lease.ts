import type { NanoUsd } from '@app/money';
import type { GatewayInstance } from '../upkeep/gateway-instance.service.js';

/**
 * Money of one user that this instance has reserved ahead. Requests take their holds from it without asking anybody; what
 * they are not charged comes back to it at once. In the database it shrinks as their settlements are booked, so its row is
 * always what is free here + what requests hold + what is charged and not booked yet.
 */
export class Lease {
  lastUsedMs = performance.now();
  /** The answer to a statement about it never came: the database may have more in it than is known here. */
  isUncertain = false;
  /** How much of it, as other instances were told, requests hold; and when that was. */
  toldNano: NanoUsd = 0n;
  toldMs = -Infinity;
  #freeNano: NanoUsd;
  #heldNano: NanoUsd = 0n;
  /** Requests that hold of it, and settlements of them that are not booked yet. */
  #users = 0;

  /** @param validUntilMs  `performance.now()`: until then nobody takes it away */
  constructor(
    readonly id: string,
    readonly userId: string,
    amountNano: NanoUsd,
    public validUntilMs: number,
    private readonly owner: Pick<GatewayInstance, 'aliveUntilMs'>,
  ) {
    this.#freeNano = amountNano;
  }

  get freeNano(): NanoUsd {
    return this.#freeNano;
  }

  /** What requests in flight hold of it. */
  get heldNano(): NanoUsd {
    return this.#heldNano;
  }

  /** No request holds of it and every charge is booked: what is left in the database is free. */
  get isUnused(): boolean {
    return this.#users === 0;
  }

  /** It may have been taken away: not to be used until it is renewed, or the database has heard of its owner again. */
  isOver(nowMs = performance.now()): boolean {
    return nowMs > this.validUntilMs || nowMs > this.owner.aliveUntilMs;
  }

  /**
   * A request's hold. False, and nothing taken, when less than `needNano` is free or the term is over.
   *
   * @param needNano  at least `amountNano`
   */
  hold(amountNano: NanoUsd, needNano: NanoUsd): boolean {
    const nowMs = performance.now();
    if (needNano > this.#freeNano || this.isOver(nowMs)) return false;
    this.lastUsedMs = nowMs;
    this.#users += 1;
    this.#move(amountNano);
    return true;
  }

  /** More for a request that holds already. */
  extend(byNano: NanoUsd): boolean {
    if (byNano > this.#freeNano || this.isOver()) return false;
    this.#move(byNano);
    return true;
  }

  /** A request ended; `booked` is called when its settlement is. @param chargedNano  at most `heldNano` */
  settle(heldNano: NanoUsd, chargedNano: NanoUsd): void {
    this.#heldNano -= heldNano;
    this.#freeNano += heldNano - chargedNano;
  }

  booked(): void {
    this.#users -= 1;
  }

  grow(byNano: NanoUsd): void {
    this.#freeNano += byNano;
  }

  /** For a request that holds already. That it was granted shows that the lease exists, whatever is known of its term. */
  growHeld(byNano: NanoUsd): void {
    this.#heldNano += byNano;
  }

  /** Takes out all that is free, to be given back. */
  empty(): NanoUsd {
    const freeNano = this.#freeNano;
    this.#freeNano = 0n;
    return freeNano;
  }

  #move(amountNano: NanoUsd): void {
    this.#freeNano -= amountNano;
    this.#heldNano += amountNano;
  }
}
