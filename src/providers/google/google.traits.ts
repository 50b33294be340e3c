import { thinkingControl } from './google.thinking.js';

/** From Gemini 3 on, a call that goes back without its signature is refused. */
export function demandsSignatures(model: string): boolean {
  return isGemini3OrLater(model);
}

/**
 * Models that draw refuse every turn of theirs that comes back without a signature on its first part and on its images.
 *
 * @see https://ai.google.dev/gemini-api/docs/gemini-3, "Thought signatures", read 2026-11-30
 */
export function demandsImageSignatures(model: string): boolean {
  return isGemini3OrLater(model) && model.includes('-image');
}

/**
 * From Gemini 3 on, every query of a search is charged; before, a prompt for which there were any.
 *
 * @see https://ai.google.dev/gemini-api/docs/pricing, read 2026-11-29
 */
export function paysEverySearch(model: string): boolean {
  return isGemini3OrLater(model);
}

/**
 * From Gemini 3 on, functions and Google's own tools may stand in one request.
 *
 * @see https://ai.google.dev/gemini-api/docs/tool-combination, read 2026-11-29
 */
export function combinesTools(model: string): boolean {
  return isGemini3OrLater(model);
}

/**
 * From Gemini 3 on, a tool's result may hold images and documents; older models answer 400.
 *
 * @see https://ai.google.dev/gemini-api/docs/function-calling, "Multimodal function responses", read 2026-11-29
 */
export function takesMediaInResults(model: string): boolean {
  return isGemini3OrLater(model);
}

/**
 * Newer models answer 400 for penalties. (Their temperature, top_p and top_k are taken and passed over.) Google has 3.6 Flash answer
 * for 3.5 Flash.
 *
 * @see https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/gemini/3-6-flash, read 2026-11-30
 */
export function takesPenalties(model: string): boolean {
  return !/gemini-(?:3\.[5-9]|flash(?:-lite)?-latest)/.test(model);
}

function isGemini3OrLater(model: string): boolean {
  return thinkingControl(model).kind === 'level';
}
