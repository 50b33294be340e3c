import type { ChatRequest } from '@app/contracts';
import type { ModelTraits } from './anthropic.traits.js';
import type { UnsupportedParams } from '../translation/unsupported-params.js';
import type { JsonObject } from './anthropic.wire.js';

/**
 * `temperature`, `top_p`, `top_k`, `stop` -> Anthropic's.
 *
 * Anthropic's temperature ends at 1. A higher one is refused rather than lowered, because the client would not notice.
 * Default values are left out: that means the same, and every model accepts it.
 *
 * @param thinking  the translation switches thinking on, which fixes the temperature
 */
export function toSamplingFields(
  request: ChatRequest,
  traits: ModelTraits,
  thinking: boolean,
  unsupported: UnsupportedParams,
): JsonObject {
  const fixed = traits.sampling === 'fixed' || thinking;
  const fields = fixed ? fixedSampling(request, unsupported) : freeSampling(request, traits, unsupported);
  const stop = stopSequences(request.stop, unsupported);
  return stop.length > 0 ? { ...fields, stop_sequences: stop } : fields;
}

const SAMPLERS = ['temperature', 'top_p', 'top_k'] as const;

function fixedSampling(request: ChatRequest, unsupported: UnsupportedParams): JsonObject {
  for (const name of SAMPLERS) {
    const value = request[name];
    if (value === undefined || value === null || (value === 1 && name !== 'top_k')) continue;
    unsupported.refuse(name, 'cannot be set for this model, or not while it reasons');
  }
  return {};
}

function freeSampling(request: ChatRequest, traits: ModelTraits, unsupported: UnsupportedParams): JsonObject {
  const fields: JsonObject = {};
  const { temperature, top_p: topP, top_k: topK } = request;
  if (typeof temperature === 'number') {
    if (temperature > 1) unsupported.refuse('temperature', 'must be at most 1 for Anthropic');
    else fields.temperature = temperature;
  }
  if (typeof topP === 'number' && topP !== 1) {
    if (traits.sampling === 'one' && fields.temperature === 1) delete fields.temperature;
    if (traits.sampling === 'one' && fields.temperature !== undefined) {
      unsupported.refuse('top_p', 'cannot be combined with temperature for this model');
    } else fields.top_p = topP;
  }
  if (topK !== undefined && topK !== null) fields.top_k = topK;
  return fields;
}

/** Anthropic refuses sequences that consist of white space. */
function stopSequences(stop: ChatRequest['stop'], unsupported: UnsupportedParams): string[] {
  const all = typeof stop === 'string' ? [stop] : (stop ?? []);
  return all.filter((sequence) => {
    if (sequence.trim() !== '') return true;
    unsupported.refuse('stop', 'contains a sequence of only white space, which Anthropic does not accept');
    return false;
  });
}
