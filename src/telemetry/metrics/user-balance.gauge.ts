import { Gauge, type Registry } from 'prom-client';

/**
 * Another instance may be serving the user by now, and no instance is told of a top-up: an outdated value would contradict
 * the current one and keep an alert firing for ever.
 */
const FORGOTTEN_AFTER_MS = 3_600_000;

interface SeenBalance {
  readonly value: number;
  readonly labels: { user_id: string };
  /** Unix milliseconds: with several workers the latest sight of a user counts (see merge-worker-metrics.ts). */
  readonly seenAt: number;
}

/**
 * `user_balance{user_id}`: the users of this instance seen last, within the hour and never more than `maxUsers`.
 * A user is a label value that clients choose, so the number of series must not be theirs to choose.
 */
export class UserBalanceGauge extends Gauge<'user_id'> {
  /** In order of sight: the first is the one to go. */
  readonly #users = new Map<string, SeenBalance>();

  constructor(
    registry: Registry,
    private readonly maxUsers: number,
  ) {
    registry.removeSingleMetric('user_balance');
    super({
      name: 'user_balance',
      help: 'Balance after the last charge, in units of BILLING_CURRENCY, of the most recently seen users.',
      labelNames: ['user_id'],
      registers: [registry],
    });
  }

  seen(userId: string, value: number): void {
    this.#users.delete(userId);
    this.#users.set(userId, { value, labels: { user_id: userId }, seenAt: Date.now() });
    if (this.#users.size > this.maxUsers) this.#forgetOldest();
  }

  override async get() {
    this.#forgetOld();
    return { ...(await super.get()), values: [...this.#users.values()] };
  }

  #forgetOld(): void {
    const oldest = Date.now() - FORGOTTEN_AFTER_MS;
    for (const [userId, { seenAt }] of this.#users) {
      if (seenAt > oldest) return;
      this.#users.delete(userId);
    }
  }

  #forgetOldest(): void {
    for (const oldest of this.#users.keys()) {
      this.#users.delete(oldest);
      return;
    }
  }
}
