import { Injectable } from '@nestjs/common';
import type { HealthProbe } from './health-probe.js';

/** Every probe of this instance. Modules add theirs at boot. */
@Injectable()
export class HealthProbes {
  readonly #probes = new Map<string, HealthProbe>();

  add(probe: HealthProbe): void {
    this.#probes.set(`${probe.group ?? ''}/${probe.name}`, probe);
  }

  all(): HealthProbe[] {
    return [...this.#probes.values()];
  }
}
