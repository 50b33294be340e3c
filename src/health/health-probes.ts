import { Injectable } from '@nestjs/common';
import type { HealthProbe } from './health-probe.js';

/** Every probe of this instance. Modules add theirs at boot. */
@Injectable()
export class HealthProbes {
  readonly #probes = new Map<string, HealthProbe>();
  readonly #sources: (() => readonly HealthProbe[])[] = [];

  add(probe: HealthProbe): void {
    this.#probes.set(`${probe.group ?? ''}/${probe.name}`, probe);
  }

  /** For components that come and go, e.g. providers when GATEWAY_CONFIG is read anew. */
  addSource(source: () => readonly HealthProbe[]): void {
    this.#sources.push(source);
  }

  all(): HealthProbe[] {
    return [...this.#probes.values(), ...this.#sources.flatMap((source) => source())];
  }
}
