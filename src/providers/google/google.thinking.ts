import type { JsonObject } from './google.wire.js';

/** Up to 2.5, a request sets how many tokens a model may think; since 3, how hard. */
type ThinkingControl =
  | { kind: 'none' }
  | { kind: 'budget'; canBeOff: boolean }
  | { kind: 'level'; minimal: boolean; medium: boolean; xhigh?: boolean };

const NONE: ThinkingControl = { kind: 'none' };

/**
 * What each model line accepts, oldest first. An unknown name counts as the newest.
 *
 * @see https://ai.google.dev/gemini-api/docs/thinking and the models' own pages, read 2026-11-20, Gemini 4 2026-11-30
 */
const CONTROLS: readonly [pattern: RegExp, control: ThinkingControl][] = [
  [/gemma|gemini-pro(-vision)?$|gemini-1\.|gemini-2\.0/, NONE],
  [/gemini-2\.5-pro/, { kind: 'budget', canBeOff: false }],
  [/gemini-2\.5/, { kind: 'budget', canBeOff: true }],
  [/gemini-3-pro/, { kind: 'level', minimal: false, medium: false }],
  [/gemini-3(\.[156])?-flash/, { kind: 'level', minimal: true, medium: true }],
  [/gemini-4-hydrogen/, { kind: 'level', minimal: false, medium: true, xhigh: true }],
];
const NEWEST: ThinkingControl = { kind: 'level', minimal: false, medium: true };

export function thinkingControl(model: string): ThinkingControl {
  return CONTROLS.find(([pattern]) => pattern.test(model))?.[1] ?? NEWEST;
}

/** In tokens, as Google's own OpenAI-compatible endpoint translates the efforts. */
const BUDGETS: Readonly<Record<string, number>> = {
  minimal: 1024,
  low: 1024,
  medium: 8192,
  high: 24_576,
  xhigh: 24_576,
  max: 24_576,
};

/**
 * `reasoning_effort` -> `thinkingConfig`. It asks for thoughts, so that the answer has `reasoning_content`.
 *
 * An effort that a model lacks becomes the nearest one that it has; only `none` can't be approximated.
 *
 * @returns a text that says why the effort is not supported, or the configuration
 */
export function toThinkingConfig(effort: string, model: string): JsonObject | string {
  const control = thinkingControl(model);
  if (effort !== 'none' && !Object.hasOwn(BUDGETS, effort))
    return `"${effort}" is not a reasoning effort that Google Gemini supports`;
  if (control.kind === 'none')
    return effort === 'none' ? {} : 'is not supported by this model, which does not think';
  if (effort === 'none') {
    const canBeOff = control.kind === 'budget' && control.canBeOff;
    return canBeOff ? { thinkingBudget: 0 } : '"none" is not supported by this model, which always thinks';
  }
  const amount =
    control.kind === 'budget'
      ? { thinkingBudget: BUDGETS[effort] }
      : { thinkingLevel: level(effort, control) };
  return { ...amount, includeThoughts: true };
}

function level(effort: string, control: { minimal: boolean; medium: boolean; xhigh?: boolean }): string {
  if (effort === 'minimal') return control.minimal ? 'MINIMAL' : 'LOW';
  if (effort === 'low') return 'LOW';
  if (effort === 'medium' && control.medium) return 'MEDIUM';
  if ((effort === 'xhigh' || effort === 'max') && control.xhigh) return 'XHIGH';
  return 'HIGH';
}
