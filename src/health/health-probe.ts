/** `degraded`: it works, but not as it should; whoever depends on it is still served. */
export type ComponentStatus = 'up' | 'degraded' | 'down';

export interface ComponentHealth {
  readonly status: ComponentStatus;
  readonly latencyMs: number;
  /** For people and dashboards. No hostnames, no keys, nothing of a request: the page is public. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** Asks one component how it is. Registered by, or written for, whoever owns the component. */
export interface HealthProbe {
  /** Its key in `/health/detailed`. */
  readonly name: string;
  /** Members of a group stand under the group's name, e.g. the providers. */
  readonly group?: string;
  /** While a critical component is down, the instance takes no traffic. */
  readonly critical: boolean;
  /** How long an answer is good for, milliseconds; 1 s unless said otherwise. */
  readonly cacheMs?: number;
  /** May take as long as it likes and may throw: the caller waits for a second at most. */
  check(signal: AbortSignal): Promise<ComponentHealth>;
  /**
   * What is known without asking anybody. With it, the background check never calls `check`: for components whose
   * asking costs somebody something. `undefined` = nothing is known yet.
   */
  glance?(): ComponentHealth | undefined;
}
