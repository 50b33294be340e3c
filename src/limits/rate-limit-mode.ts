import { Injectable, Logger } from '@nestjs/common';
import { Telemetry } from '../telemetry/telemetry.js';

/** `degraded`: the shared store is away and this instance decides alone. */
export type RateLimitMode = 'redis' | 'memory' | 'degraded';

/** Where the mode of the limits is known, told and logged on every change. */
@Injectable()
export class RateLimitModeReporter {
  readonly #logger = new Logger('RateLimits');

  constructor(private readonly telemetry: Telemetry) {}

  report(mode: RateLimitMode, reason = 'no answer'): void {
    this.telemetry.event({ kind: 'rate-limit-mode', mode });
    if (mode === 'degraded')
      this.#logger.warn(
        `the shared counts are out of reach (${reason}): limits are kept by this instance alone`,
      );
    else this.#logger.log(`counting in ${mode}`);
  }
}
