import type { ChatRequest } from '@app/contracts';
import { Injectable } from '@nestjs/common';
import type { Principal } from '../auth/principal.js';
import { QuoterService } from '../billing/quote/quoter.service.js';
import type { EstimatePlanner } from '../billing/quote/estimate-planner.js';
import { ModelCatalog } from '../models/model-catalog.service.js';
import type { RoutePlan } from '../routing/route-plan.js';
import { RoutePlanner } from '../routing/route-planner.service.js';
import { toChatRequest } from './request/to-chat-request.js';

/** Plans a request like a completion, for billing to price: billing itself knows no routes. */
@Injectable()
export class EstimatePlanning implements EstimatePlanner {
  constructor(
    private readonly catalog: ModelCatalog,
    private readonly planner: RoutePlanner,
    private readonly quoter: QuoterService,
  ) {}

  async plan(body: unknown, principal: Principal): Promise<{ request: ChatRequest; plan: RoutePlan }> {
    const request = toChatRequest(body);
    const model = this.catalog.require(request.model, principal);
    const inputTokensBound = this.quoter.inputTokensBound(request);
    return { request, plan: this.planner.plan(model, request, { principal, inputTokensBound }) };
  }
}
