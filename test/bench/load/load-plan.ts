/** What the load process is asked to do, and what it answers: plain data, sent between the processes. */

export interface LoadPlan {
  readonly port: number;
  readonly path: string;
  readonly headers: readonly string[];
  /** One for each user, used in turn; none = no `Authorization` of the bench's. */
  readonly tokens: readonly string[];
  readonly body: string;
  readonly isStream: boolean;
  /** Requests in flight (closed loop), or arrivals per second by a Poisson process (open loop). */
  readonly arrivals: { readonly inFlight: number } | { readonly perSecond: number };
  readonly seconds: number;
  /** Load before the window opens, so that connections are made and code is warm again. */
  readonly warmSeconds: number;
  /** Closed loops start their requests spread over so long, so that streams don't tick together. */
  readonly spreadSeconds: number;
  /**
   * `drained`: the window ends when the last request has its answer, so costs and requests match.
   * `held`: it ends with the time, and the connections stay open until the next plan.
   */
  readonly end: 'drained' | 'held';
  /** Ends the plan after so many requests, whatever the time. */
  readonly maxRequests?: number;
}

/** Milliseconds. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly count: number;
}

export interface LoadResult {
  readonly requests: number;
  /** Server-sent events. */
  readonly chunks: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  readonly seconds: number;
  readonly latency: Spread;
  readonly timeToFirstChunk: Spread;
  /** How late the generator itself sent, in open loops; part of the latencies, which count from the schedule. */
  readonly lateness: Spread;
}

export type LoadMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'window-open' }
  | { readonly kind: 'window-closed'; readonly result: LoadResult }
  | { readonly kind: 'done' };
