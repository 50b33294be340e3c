import { performance } from 'node:perf_hooks';

/** What a client saw of one request. */
export interface Seen {
  readonly status: number;
  /** The error's code, where there is one. */
  readonly code: string | undefined;
  readonly retryAfter: string | null;
  readonly ms: number;
}

/** Sends one request and reads its answer to the end. A connection that fails is status 0. */
export async function see(send: () => Promise<Response>): Promise<Seen> {
  const startedMs = performance.now();
  try {
    const response = await send();
    const text = await response.text();
    return {
      status: response.status,
      code: /"code":"(\w+)"/.exec(response.ok ? '' : text)?.[1],
      retryAfter: response.headers.get('retry-after'),
      ms: performance.now() - startedMs,
    };
  } catch {
    return { status: 0, code: undefined, retryAfter: null, ms: performance.now() - startedMs };
  }
}

/** So many requests one after the other. */
export async function seeInTurn(times: number, send: (index: number) => Promise<Response>): Promise<Seen[]> {
  const seen: Seen[] = [];
  for (let index = 0; index < times; index++) seen.push(await see(() => send(index)));
  return seen;
}

/** So many requests by this many clients, each of which waits for its answer. */
export async function seeAtOnce(
  times: number,
  clients: number,
  send: (index: number) => Promise<Response>,
): Promise<Seen[]> {
  const seen: Seen[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    for (let index = next++; index < times; index = next++) seen.push(await see(() => send(index)));
  };
  await Promise.all(Array.from({ length: clients }, client));
  return seen;
}

/** How often each outcome came: `{ '200': 12, '503 database_unavailable': 3 }`. */
export function outcomes(seen: readonly Seen[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, code } of seen) {
    const key = code === undefined ? String(status) : `${status} ${code}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** The time that this share of the requests did not exceed, ms. */
export function percentileMs(seen: readonly Pick<Seen, 'ms'>[], share: number): number {
  const sorted = seen.map(({ ms }) => ms).sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
