import type { ProviderCall } from '@app/contracts';
import type { Concession } from './concessions.js';
import { toProviderError } from './openai-compatible.errors.js';
import type { WireObject } from './openai-compatible.wire.js';

/** A request as it was sent in the end. */
export interface Sent<Answer> {
  readonly answer: Answer;
  readonly droppedParams: readonly string[];
}

interface Negotiation<Answer> {
  readonly call: Pick<ProviderCall, 'signal' | 'dropUnsupported'>;
  readonly concede: (body: WireObject, refusal: Error, dropUnsupported: boolean) => Concession | undefined;
  readonly post: (body: WireObject) => Promise<Answer>;
  /** Called with what the server accepted in the end: a refusal alone may only quote what a client wrote. */
  readonly onConceded?: (concessions: readonly Concession[]) => void;
}

/** How often one request is corrected before the server's refusal is handed on. */
const MAX_CONCESSIONS = 4;

/**
 * After a failure: corrects the request as long as the server refuses it for a field that it can do without.
 *
 * @throws ProviderError, or the signal's reason
 */
export async function negotiate<Answer>(
  refused: WireObject,
  failure: unknown,
  { call, concede, post, onConceded }: Negotiation<Answer>,
): Promise<Sent<Answer>> {
  const made: Concession[] = [];
  let body = refused;
  let thrown = failure;
  for (;;) {
    const refusal = toProviderError(thrown, call.signal);
    const concession =
      made.length < MAX_CONCESSIONS ? concede(body, refusal, call.dropUnsupported) : undefined;
    if (!concession) throw refusal;
    made.push(concession);
    body = concession.body;
    try {
      const answer = await post(body);
      onConceded?.(made);
      return { answer, droppedParams: made.flatMap(({ dropped }) => dropped ?? []) };
    } catch (error) {
      thrown = error;
    }
  }
}
