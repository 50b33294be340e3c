import type { ProviderCall } from '@app/contracts';

/** Models that chat completions never served: 404 "only supported in v1/responses". */
const RESPONSES_ONLY = /^(o1-pro|o3-pro|gpt-5(\.\d+)?-pro|gpt-5(\.\d+)?-codex|codex-)/;

/** From 5.4 on, chat completions take tools only without reasoning. */
const NO_REASONING_WITH_TOOLS = /^(gpt-5\.[4-9]|gpt-([6-9]|\d{2,})(\.\d+)?)(-|$)/;
/** Of these, 5.4 and 5.5 reason only when asked to. */
const REASONS_ONLY_WHEN_ASKED = /^gpt-5\.[45](-|$)/;

/**
 * Whether a call has to go through the Responses API.
 *
 * @see https://developers.openai.com/api/docs/guides/responses-vs-chat-completions, read 2026-11-23
 */
export function needsResponses({ upstreamModel, request }: ProviderCall): boolean {
  if (RESPONSES_ONLY.test(upstreamModel)) return true;
  if (!request.tools?.length || !NO_REASONING_WITH_TOOLS.test(upstreamModel)) return false;
  const effort =
    request.reasoning_effort ?? (REASONS_ONLY_WHEN_ASKED.test(upstreamModel) ? 'none' : undefined);
  return effort !== 'none';
}
