import { GatewayError } from '@app/contracts';
import type { ProviderSettings } from '../provider-definition.js';

/** What is shorter than this is no secret, and would be found in ordinary words. */
const SHORTEST = 8;
const SECRET_HEADER = /key|token|secret|authorization/i;

/** What a provider knows of us and nobody else should: the key, and headers that stand for one. */
export function secretsOf({ apiKey, headers = {} }: ProviderSettings): string[] {
  const ofHeaders = Object.entries(headers).filter(([name]) => SECRET_HEADER.test(name));
  const all = [apiKey ?? '', ...ofHeaders.map(([, value]) => value.replace(/^\w+ /, ''))];
  return all.filter((secret) => secret.length >= SHORTEST);
}

/** Where a provider's words are kept in an error: what clients, logs and the database get to see. */
const SHOWN = ['message', 'param', 'wireCode', 'providerRequestId'] as const;

/** A provider's error may repeat what it was sent, our key included, in every field that it fills. */
export function concealSecrets(error: unknown, secrets: readonly string[]): void {
  if (!(error instanceof GatewayError)) return;
  const fields: Partial<Record<(typeof SHOWN)[number], unknown>> = error;
  for (const name of SHOWN) {
    const shown = fields[name];
    if (typeof shown !== 'string') continue;
    const concealed = secrets.reduce((text, secret) => text.replaceAll(secret, '[masked]'), shown);
    if (concealed !== shown) fields[name] = concealed;
  }
}
