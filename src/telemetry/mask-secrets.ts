/**
 * Patterns of credentials that could stand in a free text (an error's message, a library's log line).
 * Ours are never logged by construction; this is the second line for texts that others wrote.
 */
const SECRETS: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}/gi, '$1 [masked]'],
  [/\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,2}/g, '[masked]'],
  [/\bsk[-_][A-Za-z0-9_-]{6,}/g, '[masked]'],
  [/\bAIza[A-Za-z0-9_-]{6,}/g, '[masked]'],
  [/\b([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s:@/]*:[^\s@/]+@/gi, '$1[masked]@'],
  [/([?&](?:key|api_?key|token|access_token|password|secret)=)[^&\s"']+/gi, '$1[masked]'],
  [
    /((?:api[_-]?key|x-goog-api-key|authorization|password|secret[_-]?key|client_secret)["']?\s*[:=]\s*["']?)[^"'\s,}&]+/gi,
    '$1[masked]',
  ],
];

/** Quick look before the patterns run: most texts have none of these. */
const SUSPICIOUS = /bearer|basic|eyJ|sk[-_]|AIza|:\/\/|key|token|secret|password|authorization/i;

/** @returns the text with whatever looks like a credential replaced by `[masked]` */
export function maskSecrets(text: string): string {
  if (!SUSPICIOUS.test(text)) return text;
  let masked = text;
  for (const [pattern, replacement] of SECRETS) masked = masked.replace(pattern, replacement);
  return masked;
}
