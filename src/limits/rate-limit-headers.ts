import type { Decision, WindowRule } from './limit-store.js';

/** Quota names of the IETF fields, the usual short ones. */
const POLICY_NAMES: Readonly<Record<string, string>> = { minute: 'rpm', hour: 'rph' };

/**
 * The rate limit headers of an answer, for OpenAI's clients and for those of the IETF draft.
 *
 * - `x-ratelimit-*-requests`: OpenAI's, of the window with the least left; `reset` = until all of it is free again.
 * - `RateLimit-Policy`, `RateLimit`: draft-ietf-httpapi-ratelimit-headers-10, all of the user's windows;
 *   `t` = until more becomes available (in a sliding window that is before the reset).
 *
 * The window shared by all users is not shown: what others do is nobody's business.
 */
export class RateLimitHeaders {
  readonly #policy: string;
  /** What the values begin with, or are, by rule: the same in every answer. */
  readonly #limits: readonly string[];
  readonly #quotas: readonly string[];

  constructor(private readonly rules: readonly WindowRule[]) {
    this.#limits = rules.map(({ limit }) => String(limit));
    this.#quotas = rules.map((rule, index) => `${index > 0 ? ', ' : ''}"${policyName(rule)}";r=`);
    this.#policy = rules
      .map((rule) => `"${policyName(rule)}";q=${rule.limit};w=${rule.windowMs / 1000}`)
      .join(', ');
  }

  write(response: { setHeader(name: string, value: string): unknown }, decision: Decision): void {
    if (decision.degraded) response.setHeader('x-ratelimit-mode', 'degraded');
    if (this.rules.length === 0) return;
    const tightest = this.#tightest(decision);
    const rule = this.rules[tightest]!;
    const window = decision.windows[tightest]!;
    response.setHeader('x-ratelimit-limit-requests', this.#limits[tightest]!);
    response.setHeader('x-ratelimit-remaining-requests', String(remaining(rule, window.used)));
    response.setHeader('x-ratelimit-reset-requests', goDuration(window.emptyInMs));
    response.setHeader('RateLimit-Policy', this.#policy);
    response.setHeader('RateLimit', this.#state(decision));
  }

  #tightest({ windows }: Decision): number {
    let tightest = 0;
    for (let index = 1; index < this.rules.length; index++) {
      if (this.#left(windows, index) < this.#left(windows, tightest)) tightest = index;
    }
    return tightest;
  }

  #left(windows: Decision['windows'], index: number): number {
    return this.rules[index]!.limit - windows[index]!.used;
  }

  #state({ windows }: Decision): string {
    let text = '';
    for (let index = 0; index < this.rules.length; index++) {
      const { used, growsInMs } = windows[index]!;
      text += `${this.#quotas[index]}${remaining(this.rules[index]!, used)};t=${Math.ceil(growsInMs / 1000)}`;
    }
    return text;
  }
}

/** Go's form of a duration, as OpenAI writes it: `12ms`, `1s`, `6m0s`, `1h0m0s`, `8.64s`. */
export function goDuration(durationMs: number): string {
  const ms = Math.max(0, Math.round(durationMs));
  if (ms === 0) return '0s';
  if (ms < 1000) return `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = `${(ms % 60_000) / 1000}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}

function remaining(rule: WindowRule, used: number): number {
  return Math.max(0, rule.limit - Math.ceil(used));
}

function policyName(rule: WindowRule): string {
  return POLICY_NAMES[rule.name] ?? rule.name;
}
