import { setTimeout as sleep } from 'node:timers/promises';
import { mintToken } from '../../libs/testing/tokens.ts';
import type { Acknowledgement, Operation } from './clients.ts';
import type { Random } from '../support/random.ts';
import { UntilTold } from './until-told.ts';

const TOPUP = '1000';
const PATIENCE_MS = 20_000;
const TOKEN_SECONDS = 24 * 3600;
const AT_ONCE = 2;
/** A refund is given up: of a charge on credit there may be nothing to give back. */
const REFUND_PATIENCE_MS = 20_000;

/** One wish of the administrator: however often it is sent, it is booked once. */
export interface Order {
  readonly kind: 'topup' | 'refund';
  readonly user: string;
  /** The idempotency key of a top-up; the request of a refund. */
  readonly subject: string;
  /** Decimal. `undefined`: a refund of all that was charged. */
  readonly amount: string | undefined;
  readonly answers: Booked[];
}

export interface Booked {
  readonly id: string;
  /** Decimal. */
  readonly amount: string;
}

/** Tops up and refunds while things break, and remembers what it was answered. Only accounts with plenty. */
export class Administrator extends UntilTold {
  readonly orders: Order[] = [];
  readonly #random: Random;
  readonly #ports: readonly number[];
  readonly #token = mintToken({ sub: 'chaos-admin', role: 'admin', expiresInSeconds: TOKEN_SECONDS });

  constructor(random: Random, ports: readonly number[]) {
    super();
    this.#random = random;
    this.#ports = ports;
  }

  /** Each at two instances at once: the second must change nothing. */
  async fund(users: readonly string[]): Promise<void> {
    for (const user of users) await this.#pursue(this.#order('topup', user, `first-${user}`, TOPUP));
  }

  start(users: readonly string[], operations: readonly Operation[]): void {
    this.run(Array.from({ length: AT_ONCE }, () => this.#loop(this.#random.fork(), users, operations)));
  }

  /** `undefined` body: a GET. */
  call(port: number, path: string, body?: unknown): Promise<Response> {
    return fetch(`http://127.0.0.1:${port}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      signal: AbortSignal.timeout(PATIENCE_MS),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.#token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  async #loop(random: Random, users: readonly string[], operations: readonly Operation[]): Promise<void> {
    while (!this.stopped) {
      await sleep(random.between(50, 500));
      const order = random.chance(0.3)
        ? this.#order('topup', random.pick(users), `key-${this.orders.length}`, someAmount(random))
        : this.#refund(random, operations);
      if (order) await this.#pursue(order);
    }
  }

  #order(kind: Order['kind'], user: string, subject: string, amount: string | undefined): Order {
    const order = { kind, user, subject, amount, answers: [] };
    this.orders.push(order);
    return order;
  }

  /** Of what somebody was told it cost, half the time a part. Mostly of late: it may not be booked yet. */
  #refund(random: Random, operations: readonly Operation[]): Order | undefined {
    const likely = operations.slice(random.chance(0.5) ? -200 : 0);
    if (likely.length === 0) return undefined;
    const operation = random.pick(likely);
    const call = operation.calls.find(isCharged);
    if (operation.scarce || !call || this.orders.some(({ subject }) => subject === call.requestId))
      return undefined;
    const amount = call.cost !== undefined && random.chance(0.5) ? '0.000001' : undefined;
    return this.#order('refund', operation.user, call.requestId, amount);
  }

  async #pursue(order: Order): Promise<void> {
    const deadlineMs = order.kind === 'refund' ? Date.now() + REFUND_PATIENCE_MS : Number.POSITIVE_INFINITY;
    for (;;) {
      const booked = await Promise.all([this.#send(order), this.#send(order)]);
      if (booked.some((isBooked) => isBooked) || Date.now() > Math.min(deadlineMs, this.giveUpAtMs)) return;
      await sleep(this.#random.between(100, 500));
    }
  }

  async #send(order: Order): Promise<boolean> {
    const { kind, user, subject, amount } = order;
    const port = this.#random.pick(this.#ports);
    const path = kind === 'topup' ? `/admin/users/${user}/topups` : `/admin/requests/${subject}/refund`;
    const body = kind === 'topup' ? { amount, idempotency_key: subject } : { amount };
    try {
      const response = await this.call(port, path, body);
      const text = await response.text();
      if (!response.ok) return false;
      const [id = '', told = ''] = [/"id":"txn_([^"]+)"/, /"amount":([-\d.]+)/].map(
        (part) => part.exec(text)?.[1],
      );
      order.answers.push({ id, amount: told });
      return true;
    } catch {
      return false;
    }
  }
}

function isCharged(call: Acknowledgement): boolean {
  return call.complete && !call.replay && !call.isCheck;
}

/** Never so small that it is written with an exponent. */
function someAmount(random: Random): string {
  return `0.${random.between(1, 999)}${random.between(1, 9)}`;
}
