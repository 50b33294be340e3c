import type { ChatRequest, ModelCapabilities } from '@app/contracts';

export type Capability = keyof ModelCapabilities;

const CAPABILITY_OF_PART: Readonly<Record<string, Capability>> = {
  image_url: 'vision',
  file: 'documents',
  input_audio: 'audioInput',
};

/** What a target must be capable of to serve the request as intended. */
export function requestNeeds(request: ChatRequest): Capability[] {
  const needs = new Set<Capability>();
  if ((request.tools?.length ?? 0) > 0 || (request.functions?.length ?? 0) > 0) needs.add('tools');
  if (request.response_format?.type === 'json_schema') needs.add('jsonSchema');
  if (request.reasoning_effort != null && request.reasoning_effort !== 'none') needs.add('reasoning');
  for (const { content } of request.messages) {
    if (!Array.isArray(content)) continue;
    for (const { type } of content) {
      const need = Object.hasOwn(CAPABILITY_OF_PART, type) ? CAPABILITY_OF_PART[type] : undefined;
      if (need) needs.add(need);
    }
  }
  return [...needs];
}
