import type { ChatRequest } from '@app/contracts';
import { exactJsonNumber, type ExactJsonNumber, priceUsage, smaller, worstCaseCost } from '@app/money';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { Principal } from '../../auth/principal.js';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import type { RoutePlan } from '../../routing/route-plan.js';
import { AccountsService } from '../accounts/accounts.service.js';
import type { HoldQuote } from '../billing-session.js';
import { QuoterService } from './quoter.service.js';
import { affordableLimit, outputLimit, quoteCost } from '../session/quote-cost.js';
import { Settler } from '../settle/settler.service.js';
import { countText } from './count-text.js';
import { ESTIMATE_PLANNER, type EstimatePlanner } from './estimate-planner.js';

/** What an answer is taken to have when nothing is known of it. */
const EXPECTED_OUTPUT_TOKENS = 512;
const BYTES_PER_TOKEN = 4;

export interface Estimate {
  readonly model: string;
  readonly currency: string;
  readonly worst_case: ExactJsonNumber;
  readonly expected: ExactJsonNumber;
  readonly input_tokens_bound: number;
  readonly expected_input_tokens: number;
  readonly max_output_tokens: number;
  readonly expected_output_tokens: number;
  readonly available: ExactJsonNumber;
  /** Whether the request would be let through with its whole output limit. */
  readonly covered: boolean;
  /** The output limit that the balance covers; null = not even the input. */
  readonly affordable_output_tokens: number | null;
  readonly targets: readonly {
    readonly provider: string;
    readonly upstream_model: string;
    readonly price_version: string;
    readonly worst_case: ExactJsonNumber;
  }[];
}

/** Tells a request's price before it is sent. */
@Injectable()
export class EstimatorService {
  constructor(
    private readonly modules: ModuleRef,
    private readonly quoter: QuoterService,
    private readonly accounts: AccountsService,
    private readonly settler: Settler,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  async estimate(body: unknown, principal: Principal): Promise<Estimate> {
    // Looked up when asked: the planner lives in a module that needs this one.
    const planner = this.modules.get<EstimatePlanner>(ESTIMATE_PLANNER, { strict: false });
    const { request, plan: all } = await planner.plan(body, principal);
    const plan = this.quoter.priced(all, request);
    const quick = this.quoter.quote(plan, request, request.stream === true);
    const quote = (await quick.refine?.()) ?? quick;
    await this.settler.drain({ userId: principal.userId });
    const { availableNano } = await this.accounts.require(principal.userId);
    const limit = outputLimit(quote);
    const worstNano = quoteCost(quote, limit);
    const expected = await this.#expected(request, plan, quote, limit);
    return {
      model: quote.model,
      currency: this.config.billing.currency,
      worst_case: exactJsonNumber(worstNano),
      expected: exactJsonNumber(smaller(expected.costNano, worstNano)),
      input_tokens_bound: quote.inputTokensBound,
      expected_input_tokens: expected.inputTokens,
      max_output_tokens: limit,
      expected_output_tokens: expected.outputTokens,
      available: exactJsonNumber(availableNano),
      covered: worstNano <= availableNano,
      affordable_output_tokens: affordableLimit(quote, availableNano) ?? null,
      targets: quote.bounds.map(({ target, worst, maxOutputTokens }) => ({
        provider: target.provider,
        upstream_model: target.upstreamModel,
        price_version: target.priceVersion,
        worst_case: exactJsonNumber(worstCaseCost(worst, Math.min(limit, maxOutputTokens) * quote.choices)),
      })),
    };
  }

  /** The first target's price for the input as counted and an answer of ordinary length. */
  async #expected(
    request: ChatRequest,
    plan: RoutePlan,
    quote: HoldQuote,
    limit: number,
  ): Promise<{ readonly inputTokens: number; readonly outputTokens: number; readonly costNano: bigint }> {
    const [target] = plan.targets;
    const counted = await countText(request, target?.upstreamModel ?? '');
    const inputTokens = Math.min(
      quote.inputTokensBound,
      counted ?? Math.ceil(quote.inputTokensBound / BYTES_PER_TOKEN),
    );
    const outputTokens = Math.min(limit, EXPECTED_OUTPUT_TOKENS) * quote.choices;
    const costNano = target ? priceUsage(target.price, { inputTokens, outputTokens }).costNano : 0n;
    return { inputTokens, outputTokens, costNano };
  }
}
