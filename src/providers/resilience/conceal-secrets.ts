import { GatewayError } from '@app/contracts';
import type { ProviderSettings } from '../provider-definition.js';

/** Anything shorter is no secret, and would be found in ordinary words. */
const SHORTEST = 8;
const SECRET_HEADER = /key|token|secret|authorization/i;

/** What only the provider may know: the key, and headers that carry one. */
export function secretsOf({ apiKey, headers = {} }: ProviderSettings): string[] {
  const ofHeaders = Object.entries(headers).filter(([name]) => SECRET_HEADER.test(name));
  const all = [apiKey ?? '', ...ofHeaders.map(([, value]) => value.replace(/^\w+ /, ''))];
  return all.filter((secret) => secret.length >= SHORTEST);
}

/** Fields of an error that come from the provider: clients, logs and the database see them. */
const SHOWN = ['message', 'param', 'wireCode', 'providerRequestId'] as const;

/** A provider may repeat what it was sent, our key included, in any of these fields. */
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
