import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { isConnectionError } from '../../database/connection-error.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { Leases } from './leases.service.js';

/** Half of the time that a request waits for what it recalls. */
const ROUND_MS = 500;
const FORGOTTEN_EVERY = 60;

/** Gives back, again and again, what is reserved ahead and idle, recalled or forgotten; renews the rest. */
@Injectable()
export class LeaseUpkeep implements OnApplicationBootstrap, BeforeApplicationShutdown {
  #timer: NodeJS.Timeout | undefined;
  #rounds = 0;
  #stopped = false;

  constructor(
    private readonly leases: Leases,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  onApplicationBootstrap(): void {
    if (this.config.billing.enabled) this.#schedule();
  }

  beforeApplicationShutdown(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#round(), ROUND_MS).unref();
  }

  async #round(): Promise<void> {
    this.#rounds += 1;
    try {
      await this.leases.tend();
      if (this.#rounds % FORGOTTEN_EVERY === 0) await this.leases.tendForgotten();
    } catch (error) {
      // A database that is away is told of by others.
      if (!isConnectionError(error)) {
        this.telemetry.event({ kind: 'unexpected-error', where: 'leases', requestId: undefined, error });
      }
    }
    this.#schedule();
  }
}
