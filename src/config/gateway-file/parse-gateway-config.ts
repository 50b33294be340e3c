import type { RawEnvironment } from '../environment.js';
import type { GatewayConfig, GatewayModel, GatewayProvider } from '../gateway-config.js';
import { ConfigNode, pathOf, printable } from './config-node.js';
import { isWildcard, MODEL_NAME, parseModel } from './parse-model.js';
import { parseProvider } from './parse-provider.js';
import { readBounded, readYaml } from './read-yaml.js';

const MAX_PROVIDERS = 200;
const MAX_MODELS = 5000;
const MAX_ALIASES = 5000;

/** What the file may refer to besides itself. */
export interface BuiltIns {
  readonly providers: ReadonlySet<string>;
  /** Ids and aliases, also of providers that are not configured. */
  readonly models: ReadonlySet<string>;
}

export interface ParsedGatewayConfig {
  /** What could be read; to be used only when `faults` is empty. */
  readonly config: GatewayConfig;
  readonly faults: string[];
  /** Nothing stands in it, or comments only. `{}` is an empty configuration that somebody meant. */
  readonly isBlank: boolean;
}

/** Reads the GATEWAY_CONFIG file. Every fault is found, not only the first; none quotes a value. */
export function readGatewayConfig(
  path: string,
  env: RawEnvironment,
  builtIns: BuiltIns,
): ParsedGatewayConfig {
  const file = readBounded(path);
  if ('text' in file) return parseGatewayConfig(file.text, env, builtIns);
  return { ...parseGatewayConfig('', env, builtIns), faults: [`GATEWAY_CONFIG: ${file.fault}`] };
}

export function parseGatewayConfig(
  text: string,
  env: RawEnvironment,
  builtIns: BuiltIns,
): ParsedGatewayConfig {
  const { value, faults } = readYaml(text);
  const isBlank = value === undefined && faults.length === 0;
  if (value !== undefined && !(value instanceof Map)) faults.push('GATEWAY_CONFIG: must be a mapping');
  const root = new ConfigNode('', value instanceof Map ? value : undefined, faults);
  const field = root.fields(['providers', 'models', 'aliases']);
  const providers = parseProviders(field('providers'), env, builtIns);
  const models = parseModels(
    field('models'),
    builtIns,
    new Set([...builtIns.providers, ...declared(field('providers'))]),
  );
  const aliases = parseAliases(field('aliases'), models);
  checkReferences(models, aliases, builtIns, faults);
  return { config: Object.freeze({ providers, models, aliases }), faults, isBlank };
}

/** Names under `providers:`, also of entries with faults: one fault must not make others. */
function declared(node: ConfigNode): string[] {
  return node.value instanceof Map ? [...node.value.keys()].map(String) : [];
}

function parseProviders(
  node: ConfigNode,
  env: RawEnvironment,
  builtIns: BuiltIns,
): Map<string, GatewayProvider> {
  const providers = new Map<string, GatewayProvider>();
  for (const [name, item] of node.entries(MAX_PROVIDERS)) {
    const provider = parseProvider(name, item, builtIns.providers, env);
    if (provider) providers.set(name, provider);
  }
  return providers;
}

function parseModels(
  node: ConfigNode,
  builtIns: BuiltIns,
  providers: ReadonlySet<string>,
): Map<string, GatewayModel> {
  const models = new Map<string, GatewayModel>();
  for (const [id, item] of node.entries(MAX_MODELS)) {
    const model = parseModel(id, item, { providers, builtInModels: builtIns.models });
    if (model) models.set(id, model);
  }
  return models;
}

function parseAliases(node: ConfigNode, models: ReadonlyMap<string, GatewayModel>): Map<string, string> {
  const aliases = new Map<string, string>();
  for (const [alias, item] of node.entries(MAX_ALIASES)) {
    const name = item.text(MODEL_NAME, 'the name of a model');
    if (!MODEL_NAME.test(alias)) item.fault('must consist of letters, digits and ._:/@+-');
    else if (models.has(alias)) item.fault('is the name of a model in this file');
    else if (name !== undefined) aliases.set(alias, name);
  }
  return aliases;
}

function checkReferences(
  models: ReadonlyMap<string, GatewayModel>,
  aliases: ReadonlyMap<string, string>,
  builtIns: BuiltIns,
  faults: string[],
): void {
  const patterns = [...models.keys()].filter(isWildcard).map((id) => id.slice(0, -1));
  const exists = (name: string): boolean =>
    aliases.has(name) ||
    models.has(name) ||
    builtIns.models.has(name) ||
    patterns.some((start) => name.length > start.length && name.startsWith(start));
  for (const alias of aliases.keys()) {
    const fault = aliasFault(alias, aliases, exists);
    if (fault) faults.push(`${pathOf('aliases', alias)}: ${fault}`);
  }
  for (const model of models.values()) {
    model.fallbacks?.forEach((name, index) => {
      const path = `${pathOf('models', model.id)}.fallbacks[${index}]`;
      if (name === model.id) faults.push(`${path}: is the model itself`);
      else if (!exists(name)) faults.push(`${path}: no such model`);
    });
  }
}

/** Follows an alias to its model. An alias may hide a built-in name, so only the chain itself tells a loop. */
function aliasFault(
  alias: string,
  aliases: ReadonlyMap<string, string>,
  exists: (name: string) => boolean,
): string | undefined {
  const chain = [alias];
  for (let name = aliases.get(alias); name !== undefined; name = aliases.get(name)) {
    if (chain.includes(name)) return `leads back to itself (${[...chain, name].map(printable).join(' -> ')})`;
    if (!exists(name)) return 'no such model';
    chain.push(name);
  }
  return undefined;
}
