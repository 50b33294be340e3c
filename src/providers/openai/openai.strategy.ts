import {
  ProviderError,
  type ProviderAnswer,
  type ProviderCall,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import { withoutClosed } from '../openai-compatible/closed-params.js';
import { OPENAI_DIALECT } from './openai.dialect.js';
import { closedAtOpenAi } from './openai.prices.js';
import { needsResponses } from './openai.wires.js';

const MAX_REMEMBERED = 1000;

/**
 * OpenAI has two wires. Chat completions are the client's own dialect and pass almost unchanged, so they are the first
 * choice; some models, and newer ones as soon as they reason with tools, are served by the Responses API only.
 * `needsResponses` knows which; whatever it does not know, OpenAI says in its refusal, which is remembered.
 */
export class OpenAiStrategy implements ProviderStrategy {
  readonly providerName = OPENAI_DIALECT.providerName;
  readonly cancelStopsBilling = OPENAI_DIALECT.cancelStopsBilling;
  readonly #refused = new Set<string>();

  constructor(
    private readonly chat: ProviderStrategy,
    private readonly responses: ProviderStrategy,
  ) {}

  complete(call: ProviderCall): Promise<ProviderAnswer> {
    return this.#send(call, (wire, open) => wire.complete(open));
  }

  stream(call: ProviderCall): Promise<ProviderStream> {
    return this.#send(call, (wire, open) => wire.stream(open));
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.chat.probe?.(signal);
  }

  #send<Result extends ProviderAnswer | ProviderStream>(
    call: ProviderCall,
    use: Use<Result>,
  ): Promise<Result> {
    return withoutClosed(call, closedAtOpenAi(call.request), (open) => this.#through(open, use));
  }

  async #through<Result>(call: ProviderCall, use: Use<Result>): Promise<Result> {
    const kind = kindOf(call);
    if (needsResponses(call) || this.#refused.has(kind)) return use(this.responses, call);
    try {
      return await use(this.chat, call);
    } catch (error) {
      if (!pointsToResponses(error)) throw error;
      if (this.#refused.size < MAX_REMEMBERED) this.#refused.add(kind);
      return use(this.responses, call);
    }
  }
}

type Use<Result> = (wire: ProviderStrategy, call: ProviderCall) => Promise<Result>;

/** What OpenAI's decision depends on. */
function kindOf({ upstreamModel, request }: ProviderCall): string {
  return `${upstreamModel} ${request.tools?.length ? 'tools' : ''} ${request.reasoning_effort ?? ''}`;
}

/** "This model is only supported in v1/responses and not in v1/chat/completions." and the like; nothing was processed. */
function pointsToResponses(error: unknown): boolean {
  return (
    error instanceof ProviderError &&
    error.upstreamStatus !== undefined &&
    /v1\/responses/.test(error.message)
  );
}
