import { hasTooManyParts } from '@app/contracts';
import { badResponse } from './openai-compatible.errors.js';
import { asArray, asObject, type WireObject } from './openai-compatible.wire.js';

/**
 * @param wire  a completion or a chunk of one
 * @throws ProviderError  `provider_bad_response` for more choices, tool calls and parts than any model gives
 */
export function requireFewParts(wire: WireObject): void {
  requireFew(asArray(wire.choices), (choice) => partsIn(asObject(choice)));
}

/** @throws ProviderError  `provider_bad_response` */
export function requireFew(items: readonly unknown[], partsIn: (item: unknown) => number): void {
  if (hasTooManyParts(items, partsIn))
    throw badResponse('The provider sent more parts than any model produces.');
}

function partsIn(choice: WireObject | undefined): number {
  const told = [asObject(choice?.delta), asObject(choice?.message)];
  return told.reduce(
    (count, message) => count + asArray(message?.tool_calls).length + asArray(message?.content).length,
    0,
  );
}
