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
  /** Time before the window opens, for streams that need to get going. Closed loops start their requests spread over it. */
  readonly rampSeconds: number;
  /**
   * `drained`: the window ends when the last request has its answer, so costs and requests match exactly.
   * `steady`: it ends with the time, in the middle of streams; chunks are counted.
   * `held`: connections stay open at the end, until the next plan.
   */
  readonly end: 'drained' | 'steady' | 'held';
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
  /** How late the generator itself was: if this is not small, the latencies are its own. */
  readonly lateness: Spread;
}

export type LoadMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'window-open' }
  | { readonly kind: 'window-closed'; readonly result: LoadResult }
  | { readonly kind: 'done' };
