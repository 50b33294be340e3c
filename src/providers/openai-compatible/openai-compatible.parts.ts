import { MAX_ANSWER_PARTS } from '@app/contracts';
import { badResponse } from './openai-compatible.errors.js';
import { asArray, asObject, type WireObject } from './openai-compatible.wire.js';

/**
 * @param wire  a completion or a chunk of one
 * @throws ProviderError  `provider_bad_response` for more choices, tool calls and parts than any model gives
 */
export function requireFewParts(wire: WireObject): void {
  const choices = asArray(wire.choices);
  let count = choices.length;
  for (const choice of count > MAX_ANSWER_PARTS ? [] : choices) count += partsIn(asObject(choice));
  requireFew(count);
}

/** @throws ProviderError  `provider_bad_response` */
export function requireFew(count: number): void {
  if (count > MAX_ANSWER_PARTS) throw badResponse('The provider sent more parts than any model gives.');
}

function partsIn(choice: WireObject | undefined): number {
  const told = [asObject(choice?.delta), asObject(choice?.message)];
  return told.reduce(
    (count, message) => count + asArray(message?.tool_calls).length + asArray(message?.content).length,
    0,
  );
}
