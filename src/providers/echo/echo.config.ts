import type { ProviderSettings } from '../provider-definition.js';

export const DEFAULT_DELAY_MS = 10;
const MAX_DELAY_MS = 60_000;

/** Always configured. `ECHO_DELAY_MS`: pause before each word of a stream, milliseconds. */
export function readEchoSettings(
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): ProviderSettings {
  const text = env.ECHO_DELAY_MS?.trim() || String(DEFAULT_DELAY_MS);
  const delayMs = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  const fits = delayMs <= MAX_DELAY_MS;
  if (!fits) faults.push(`ECHO_DELAY_MS: must be an integer from 0 to ${MAX_DELAY_MS}`);
  return {
    baseUrl: 'echo://in-process',
    apiKey: undefined,
    options: { delayMs: fits ? delayMs : DEFAULT_DELAY_MS },
  };
}
