import { requestedMaxOutputTokens } from '@app/contracts';
import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { QuoterService } from '../billing/quoter.service.js';
import { requirePrincipal } from '../edge/request-context.js';
import { ConcurrencyLimiter } from '../limits/concurrency-limiter.service.js';
import { TokenLimiter } from '../limits/token-limiter.service.js';
import type { CompletionRun } from './completion-run.js';

/** What a request without a limit of its own is taken to write, until its usage is known. */
const ASSUMED_OUTPUT_TOKENS = 1024;

/** The limits that only a completion has: tokens per minute and requests in flight. Both are off by default. */
@Injectable()
export class AdmissionService {
  constructor(
    private readonly tokens: TokenLimiter,
    private readonly concurrency: ConcurrencyLimiter,
    private readonly quoter: QuoterService,
  ) {}

  /** Nothing is limited: nobody needs to ask. */
  get isOff(): boolean {
    return this.tokens.isOff && this.concurrency.isOff;
  }

  /**
   * @returns to be called once when the request is over, with the run's usage known or not
   * @throws GatewayError `rate_limited`
   */
  async admit(run: CompletionRun, response: Response): Promise<() => void> {
    const { userId } = requirePrincipal(run.context);
    const releaseSlot = await this.concurrency.acquire(userId);
    try {
      const reservation = this.tokens.isOff
        ? undefined
        : await this.tokens.reserve(userId, this.#estimate(run));
      for (const [name, value] of Object.entries(reservation?.headers ?? {})) response.setHeader(name, value);
      return () => {
        releaseSlot();
        const { usage } = run;
        void this.tokens.correct(reservation, usage ? usage.inputTokens + usage.outputTokens : 0);
      };
    } catch (error) {
      releaseSlot();
      throw error;
    }
  }

  #estimate({ request }: CompletionRun): number {
    const output = requestedMaxOutputTokens(request) ?? ASSUMED_OUTPUT_TOKENS;
    return this.quoter.inputTokensBound(request) + output * (request.n ?? 1);
  }
}
