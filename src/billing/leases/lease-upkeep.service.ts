import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { RecurringWork } from '../upkeep/recurring-work.js';
import { Leases } from './leases.service.js';

/** Half of the time that a request waits for what it recalls. */
const ROUND_MS = 500;
const FORGOTTEN_EVERY = 60;

/** Gives back leases that are idle, recalled or forgotten, and renews the rest. */
@Injectable()
export class LeaseUpkeep implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #work: RecurringWork;
  #rounds = 0;

  constructor(
    private readonly leases: Leases,
    telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    this.#work = new RecurringWork('leases', telemetry, ROUND_MS, () => this.#round());
  }

  onApplicationBootstrap(): void {
    if (this.config.billing.enabled) this.#work.start();
  }

  beforeApplicationShutdown(): void {
    this.#work.stop();
  }

  async #round(): Promise<undefined> {
    this.#rounds += 1;
    await this.leases.tend();
    if (this.#rounds % FORGOTTEN_EVERY === 0) await this.leases.tendForgotten();
  }
}
