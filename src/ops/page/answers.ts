/** What the page is told: the answers of the API, as far as it reads them. */
import type { Histogram } from './figures.js';

export interface Component {
  readonly status: string;
  readonly latency_ms: number;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface Detailed {
  readonly status: string;
  readonly draining: boolean;
  readonly version: string;
  /** One component, or a group of them by name. */
  readonly components: Readonly<Record<string, Component | Readonly<Record<string, Component>>>>;
}

export interface Breaker {
  readonly state: string;
  readonly failures: number;
  readonly next_attempt_at: string | null;
  readonly last_failure: {
    readonly code: string;
    readonly status: number | null;
    readonly connection: string | null;
  } | null;
  readonly models?: Readonly<Record<string, Breaker>>;
}

export interface Past {
  readonly timestamp: string;
  readonly status: string;
}

export interface EventLoop {
  readonly p99_ms: number;
  /** Shares of the time, 0 to 1: the loop was busy; its thread had a core. */
  readonly utilization: number;
  readonly cpu: number;
}

export interface System {
  readonly uptime_seconds: number;
  readonly cpu: { readonly percent: number; readonly cores: number };
  readonly memory: { readonly rss_bytes: number };
  readonly heap: { readonly used_bytes: number; readonly limit_bytes: number };
  readonly event_loop: EventLoop;
  readonly disk: { readonly free_bytes: number; readonly percent: number };
  readonly connections: { readonly open: number };
}

export interface Health {
  readonly detailed: Detailed;
  readonly breakers: Readonly<Record<string, Breaker>>;
  readonly past: readonly Past[];
  readonly system: System;
}

export interface ModelRow {
  readonly model: string;
  readonly provider: string;
  readonly requests: number;
  readonly failed: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cost: number;
}

/** By provider, then by outcome. */
export type Attempts = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface Summary {
  readonly environment: string;
  readonly version: string;
  readonly currency: string;
  readonly workers: number;
  readonly worker_deaths: number;
  readonly requests: { readonly total: number; readonly failed: number };
  readonly models: readonly ModelRow[];
  readonly errors: Readonly<Record<string, number>>;
  readonly attempts: Attempts;
  readonly latency: Histogram;
  readonly first_token: Histogram;
  readonly overhead: Histogram;
  readonly rate_limits: Readonly<Record<string, number>>;
  readonly money: Readonly<Record<string, number>>;
  readonly streams_open: number;
  readonly cost_total: number;
  readonly tokens_total: number;
  readonly dropped: Readonly<Record<string, number>>;
}

export function isComponent(value: object): value is Component {
  return 'status' in value && typeof value.status === 'string';
}

/** The members of a group of components. */
export function groupOf(detailed: Detailed, name: string): Readonly<Record<string, Component>> {
  const group = detailed.components[name];
  return group === undefined || isComponent(group) ? {} : group;
}

/** The components that stand alone. */
export function singleComponents(detailed: Detailed): [string, Component][] {
  return Object.entries(detailed.components).filter((entry): entry is [string, Component] =>
    isComponent(entry[1]),
  );
}
