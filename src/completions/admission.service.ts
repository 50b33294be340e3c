import { requestedMaxOutputTokens } from '@app/contracts';
import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { QuoterService } from '../billing/quote/quoter.service.js';
import { requirePrincipal } from '../edge/request-context.js';
import { ConcurrencyLimiter, type ReleaseSlot } from '../limits/concurrency-limiter.service.js';
import { RequestLimiter } from '../limits/request-limiter.service.js';
import { TokenLimiter } from '../limits/token-limiter.service.js';
import type { CompletionRun } from './completion-run.js';

/** The output assumed for a request without a limit of its own, until its usage is known. */
const ASSUMED_OUTPUT_TOKENS = 1024;

/** The limits that only a completion has: tokens per minute and requests in flight. Both are off by default. */
@Injectable()
export class AdmissionService {
  constructor(
    private readonly requests: RequestLimiter,
    private readonly tokens: TokenLimiter,
    private readonly concurrency: ConcurrencyLimiter,
    private readonly quoter: QuoterService,
  ) {}

  /** Nothing is limited. */
  get isOff(): boolean {
    return this.tokens.isOff && this.concurrency.isOff;
  }

  /**
   * @returns releases the place in flight: to be called when the client has its answer, or gets none, or has left
   * @throws GatewayError `rate_limited`
   */
  async admit(run: CompletionRun, response: Response): Promise<ReleaseSlot> {
    const { userId } = requirePrincipal(run.context);
    try {
      return await this.#admit(run, userId, response);
    } catch (error) {
      // The guard has counted the request, but a refusal costs nothing: a client that retries until there is a place would
      // use up its minute meanwhile.
      void this.requests.giveBack(userId);
      throw error;
    }
  }

  async #admit(run: CompletionRun, userId: string, response: Response): Promise<ReleaseSlot> {
    const releaseSlot = await this.concurrency.acquire(userId);
    try {
      if (!this.tokens.isOff) run.tokenReservation = await this.tokens.reserve(userId, this.#estimate(run));
      for (const [name, value] of Object.entries(run.tokenReservation?.headers ?? {}))
        response.setHeader(name, value);
      return releaseSlot;
    } catch (error) {
      releaseSlot();
      throw error;
    }
  }

  /**
   * The run is over, perhaps long after its client has left: its usage is known, or there is none. A cached answer has the
   * usage of another request.
   */
  correctTokens({ tokenReservation, usage, cache }: CompletionRun): void {
    if (!tokenReservation) return;
    const isUsed = usage !== undefined && cache !== 'HIT';
    void this.tokens.correct(tokenReservation, isUsed ? usage.inputTokens + usage.outputTokens : 0);
  }

  #estimate({ request }: CompletionRun): number {
    const output = requestedMaxOutputTokens(request) ?? ASSUMED_OUTPUT_TOKENS;
    return this.quoter.inputTokensBound(request) + output * (request.n ?? 1);
  }
}
