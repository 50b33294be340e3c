import type { ChatRequest } from '@app/contracts';
import type { Principal } from '../../auth/principal.js';
import type { RoutePlan } from '../../routing/route-plan.js';

/** Injection token of the port: whoever knows models and routes answers it. */
export const ESTIMATE_PLANNER = Symbol('ESTIMATE_PLANNER');

export interface EstimatePlanner {
  /**
   * Checks a completion's body as the completions route would, and plans it without sending it.
   * @throws GatewayError 400, 403, 404, as that route
   */
  plan(
    body: unknown,
    principal: Principal,
  ): Promise<{ readonly request: ChatRequest; readonly plan: RoutePlan }>;
}
