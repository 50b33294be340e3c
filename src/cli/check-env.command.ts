import { currentEnvironment } from '../config/environment-file.js';
import { type LoadedConfiguration, loadConfiguration } from '../config/load-configuration.js';
import { configuredCatalog } from '../models/configured-catalog.js';
import { PROVIDERS } from '../providers/provider-strategies.js';
import type { Output } from './command.js';

/** Validates what the gateway would start with. One line per fault on stderr; warnings and a summary on stdout. */
export async function checkEnvCommand(_args: readonly string[], output: Output): Promise<number> {
  const loaded = loadConfiguration(currentEnvironment(), { createSecret: false });
  const catalog = configuredCatalog(loaded, PROVIDERS);
  for (const fault of catalog.faults) output.err(fault);
  if (catalog.faults.length > 0) return 1;
  for (const warning of [...loaded.warnings, ...catalog.leftOut.map((line) => `not served: ${line}`)])
    output.out(`warning: ${warning}`);
  for (const line of summary(loaded, catalog.snapshot.list().length)) output.out(line);
  return 0;
}

function summary({ config, providerSettings, gatewayConfig }: LoadedConfiguration, models: number): string[] {
  return [
    `environment: ${config.environment}`,
    `listens on: ${config.http.host}:${config.http.port}, ${config.http.workers} worker(s)`,
    `database: ${config.database.url ? 'DATABASE_URL' : 'embedded, under DATA_DIR'}`,
    `redis: ${config.redis.url ? 'configured' : 'none'}; rate limits in ${config.rateLimit.storage}`,
    `tokens: ${tokenSources(config.auth).join(' and ')}`,
    `providers: ${[...providerSettings.keys(), ...gatewayConfig.providers.keys()].join(', ')}`,
    `models: ${models}`,
    'the environment is valid',
  ];
}

function tokenSources(auth: LoadedConfiguration['config']['auth']): string[] {
  const sources: string[] = [];
  if (auth.secret) sources.push(`${auth.algorithm} by secret`);
  if (auth.jwksUrl !== undefined) sources.push('RS256 and ES256 by JWKS');
  return sources.length > 0
    ? sources
    : [`${auth.algorithm} by a secret that the first start creates and keeps`];
}
