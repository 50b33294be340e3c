import { thinkingControl } from './google.thinking.js';

/** Since Gemini 3, a call that is sent back without its signature is refused. */
export function demandsSignatures(model: string): boolean {
  return isGemini3OrLater(model);
}

/**
 * Image models since Gemini 3 refuse a model turn without a signature on its first part and on its images.
 *
 * @see https://ai.google.dev/gemini-api/docs/gemini-3, "Thought signatures", read 2026-11-30
 */
export function demandsImageSignatures(model: string): boolean {
  return isGemini3OrLater(model) && model.includes('-image');
}

/**
 * Since Gemini 3, each query of a search is charged; before, each prompt with at least one query.
 *
 * @see https://ai.google.dev/gemini-api/docs/pricing, read 2026-11-29
 */
export function paysEverySearch(model: string): boolean {
  return isGemini3OrLater(model);
}

/**
 * Since Gemini 3, a request may have functions and Google's own tools.
 *
 * @see https://ai.google.dev/gemini-api/docs/tool-combination, read 2026-11-29
 */
export function combinesTools(model: string): boolean {
  return isGemini3OrLater(model);
}

/**
 * Since Gemini 3, a tool result may contain images and documents; older models answer 400.
 *
 * @see https://ai.google.dev/gemini-api/docs/function-calling, "Multimodal function responses", read 2026-11-29
 */
export function takesMediaInResults(model: string): boolean {
  return isGemini3OrLater(model);
}

/**
 * Models since 3.5 answer 400 to penalties. (They accept temperature, top_p and top_k, but ignore them.) Requests for 3.5 Flash are
 * answered by 3.6 Flash.
 *
 * @see https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/gemini/3-6-flash, read 2026-11-30
 */
export function takesPenalties(model: string): boolean {
  return !/gemini-(?:3\.[5-9]|[4-9]|flash(?:-lite)?-latest)/.test(model);
}

function isGemini3OrLater(model: string): boolean {
  return thinkingControl(model).kind === 'level';
}
