import { Injectable, ServiceUnavailableException } from '@nestjs/common';
import { HealthCheckService, type HealthIndicatorResult, HealthIndicatorService } from '@nestjs/terminus';
import { CachedProbe } from './cached-probe.js';
import { DrainState } from './drain-state.js';
import { Telemetry } from '../telemetry/telemetry.js';
import type { ComponentHealth, HealthProbe } from './health-probe.js';
import { HealthProbes } from './health-probes.js';

export type OverallStatus = 'healthy' | 'degraded' | 'unhealthy';

export interface CheckedComponent {
  readonly probe: HealthProbe;
  readonly health: ComponentHealth;
}

export interface Readiness {
  readonly ready: boolean;
  readonly draining: boolean;
  readonly checks: readonly CheckedComponent[];
}

/** Runs the probes and judges what they say. */
@Injectable()
export class HealthChecks {
  readonly #cached = new WeakMap<HealthProbe, CachedProbe>();
  #isUp = true;

  constructor(
    private readonly probes: HealthProbes,
    private readonly drain: DrainState,
    private readonly terminus: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    telemetry: Telemetry,
  ) {
    // Asks nobody: what the background check, a load balancer or a person saw last.
    telemetry.addGauge({ name: 'can_serve', read: () => Number(this.#isUp) });
  }

  /** Every component, asked now (or a moment ago). */
  async everything(): Promise<CheckedComponent[]> {
    return this.#check(this.probes.all());
  }

  /** Without anybody looking: of what should not be asked then, what is known anyway. */
  async background(): Promise<CheckedComponent[]> {
    const all = this.probes.all();
    const asked = await this.#check(all.filter((probe) => probe.glance === undefined));
    const known = all.flatMap((probe) => {
      const health = probe.glance?.();
      return health ? [{ probe, health }] : [];
    });
    return [...asked, ...known];
  }

  /** Can this instance take traffic now? */
  async readiness(): Promise<Readiness> {
    const checks = await this.#check(this.probes.all().filter((probe) => probe.critical));
    return { ready: this.#isUp && !this.drain.draining, draining: this.drain.draining, checks };
  }

  async #check(probes: readonly HealthProbe[]): Promise<CheckedComponent[]> {
    const checked: CheckedComponent[] = [];
    await this.terminus
      .check(
        probes.map((probe) => async () => {
          const health = await this.#cachedProbe(probe).check();
          checked.push({ probe, health });
          return this.#indicate(probe, health);
        }),
      )
      .catch(onlyUnavailable);
    this.#isUp = checked.every(({ probe, health }) => !probe.critical || health.status !== 'down');
    return checked.sort((left, right) => left.probe.name.localeCompare(right.probe.name));
  }

  #indicate(probe: HealthProbe, health: ComponentHealth): HealthIndicatorResult {
    const indicator = this.indicators.check(probe.name);
    if (health.status === 'up') return indicator.up();
    return health.status === 'degraded' ? indicator.degraded() : indicator.down();
  }

  #cachedProbe(probe: HealthProbe): CachedProbe {
    const known = this.#cached.get(probe);
    if (known) return known;
    const cached = new CachedProbe(probe);
    this.#cached.set(probe, cached);
    return cached;
  }
}

/** A critical component down, or all of a group: unhealthy. Anything else that is not up: degraded. */
export function overall(components: readonly CheckedComponent[]): OverallStatus {
  const isDown = (component: CheckedComponent) => component.health.status === 'down';
  if (components.some((component) => component.probe.critical && isDown(component))) return 'unhealthy';
  const groups = new Set(components.flatMap(({ probe }) => probe.group ?? []));
  for (const group of groups) {
    if (components.filter(({ probe }) => probe.group === group).every(isDown)) return 'unhealthy';
  }
  return components.every(({ health }) => health.status === 'up') ? 'healthy' : 'degraded';
}

/** Terminus throws when something is down; who wants to know has the components. */
function onlyUnavailable(error: unknown): void {
  if (!(error instanceof ServiceUnavailableException)) throw error;
}
