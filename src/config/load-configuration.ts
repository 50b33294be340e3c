import { isMetadataHost } from '../outbound/metadata-addresses.js';
import { PROVIDERS } from '../providers/provider-strategies.js';
import type { ProviderDefinition, ProviderSettings } from '../providers/provider-definition.js';
import type { AppConfig } from './app-config.js';
import { buildAppConfig } from './build-app-config.js';
import { ConfigurationError } from './configuration-error.js';
import { fileFault, folderFault } from './data-dir.js';
import { type RawEnvironment, readEnvironmentVariables, withoutBlanks } from './environment.js';
import { declaredNames } from './environment-fields.js';
import { currentEnvironment } from './environment-file.js';
import { Findings } from './findings.js';
import { EMPTY_GATEWAY_CONFIG, type GatewayConfig } from './gateway-config.js';
import {
  type BuiltIns,
  type ParsedGatewayConfig,
  readGatewayConfig,
} from './gateway-file/parse-gateway-config.js';
import { misspeltVariables } from './misspelt-names.js';
import type { ProviderSettingsByName } from './provider-settings.js';
import { providerVariables } from './provider-variables.js';
import { SECRET_VARIABLES, withSecretFiles } from './secret-files.js';

/** Injection token of `LoadedConfiguration`. */
export const LOADED_CONFIGURATION = Symbol('LOADED_CONFIGURATION');

export interface LoadedConfiguration {
  readonly config: AppConfig;
  readonly providerSettings: ProviderSettingsByName;
  readonly gatewayConfig: GatewayConfig;
  /** Said once at boot and by `check:env`: allowed, but perhaps not meant. */
  readonly warnings: readonly string[];
  /** The variables as given, for a later reading of the file. For secrets in files they hold the paths, so that these are read again. */
  readonly environment: RawEnvironment;
}

export interface LoadOptions {
  readonly providers?: readonly ProviderDefinition[];
  /** Make and keep a signing secret when none is set (never in production). Default: yes. */
  readonly createSecret?: boolean;
  /** Whether the log files are written, as by all but the commands that only use the database. Default: yes. */
  readonly writesLogs?: boolean;
}

/**
 * The whole configuration, from texts to frozen objects, without Nest: server, CLI and tests start here.
 *
 * @param environment  variables; by default `.env` under the process's own
 * @throws ConfigurationError  with every fault of variables, providers and file together
 */
export function loadConfiguration(
  environment: RawEnvironment = currentEnvironment(),
  options: LoadOptions = {},
): LoadedConfiguration {
  const providers = options.providers ?? PROVIDERS;
  const findings = new Findings();
  const given = withoutBlanks(environment);
  const { variables, faults } = withSecretFiles(given, secretNames(providers));
  const parsed = readEnvironmentVariables(variables);
  findings.faults.push(...parsed.faults);
  const config = buildAppConfig(parsed.environment, findings, { createSecret: options.createSecret ?? true });
  const providerSettings = readProviderSettings(providers, variables, findings);
  checkAddresses(variables, providers, findings);
  const names = [...declaredNames(), ...providerVariables(providers)];
  for (const line of misspeltVariables(Object.keys(variables), names)) findings.warn(line);
  const gatewayConfig = readFile(config, variables, providers, findings);
  // With an external database the gateway starts all the same, but is not ready: other instances may serve meanwhile.
  const fault = config.database.url === undefined ? folderFault(config.dataDir) : undefined;
  if (fault !== undefined) findings.fault(`DATA_DIR: ${fault}, and the embedded database is stored there`);
  if (options.writesLogs ?? true) checkLogFiles(config.observability, findings);
  const others = findings.faults.filter((line) => !faults.has(line.slice(0, line.indexOf(':'))));
  if (faults.size + others.length > 0) throw new ConfigurationError([...faults.values(), ...others]);
  return { config, providerSettings, gatewayConfig, warnings: findings.warnings, environment: given };
}

function checkLogFiles({ logFile, auditLogFile }: AppConfig['observability'], findings: Findings): void {
  for (const [name, path] of Object.entries({ LOG_FILE: logFile, AUDIT_LOG_FILE: auditLogFile })) {
    const fault = path === undefined ? undefined : fileFault(path);
    if (fault !== undefined) findings.fault(`${name}: ${fault}`);
  }
}

function secretNames(providers: readonly ProviderDefinition[]): string[] {
  return [...SECRET_VARIABLES, ...providerVariables(providers).filter((name) => name.endsWith('_API_KEY'))];
}

function readProviderSettings(
  providers: readonly ProviderDefinition[],
  variables: RawEnvironment,
  findings: Findings,
): ProviderSettingsByName {
  const byName = new Map<string, ProviderSettings>();
  for (const provider of providers) {
    const settings = provider.settings(variables, findings.faults);
    if (settings) byName.set(provider.name, settings);
  }
  return byName;
}

/** Variables whose addresses the gateway dials, besides the vendors' `…_BASE_URL`. */
const ADDRESSES = ['JWT_JWKS_URL', 'SUPABASE_URL', 'LANGFUSE_HOST'];

function checkAddresses(
  variables: RawEnvironment,
  providers: readonly ProviderDefinition[],
  findings: Findings,
): void {
  const ofVendors = providerVariables(providers).filter((name) => name.endsWith('_BASE_URL'));
  for (const name of [...ofVendors, ...ADDRESSES]) {
    const address = variables[name];
    if (address !== undefined && URL.canParse(address) && isMetadataHost(new URL(address).hostname)) {
      findings.fault(`${name}: must not be a metadata or unspecified address`);
    }
  }
}

function readFile(
  config: AppConfig,
  variables: RawEnvironment,
  providers: readonly ProviderDefinition[],
  findings: Findings,
): GatewayConfig {
  if (config.gatewayConfigPath === undefined) return EMPTY_GATEWAY_CONFIG;
  const read = readGatewayConfig(config.gatewayConfigPath, variables, builtIns(providers));
  findings.faults.push(...read.faults);
  if (read.isBlank) findings.warn('GATEWAY_CONFIG: the file is empty');
  return read.config;
}

/** Reads the GATEWAY_CONFIG file again; `faults` empty = may be used. */
export function rereadGatewayConfig(
  loaded: LoadedConfiguration,
  providers: readonly ProviderDefinition[] = PROVIDERS,
): ParsedGatewayConfig {
  const path = loaded.config.gatewayConfigPath;
  if (path === undefined) return { config: EMPTY_GATEWAY_CONFIG, faults: [], isBlank: true };
  return readGatewayConfig(path, loaded.environment, builtIns(providers));
}

function builtIns(providers: readonly ProviderDefinition[]): BuiltIns {
  const models = providers.flatMap((provider) =>
    provider.models.flatMap((card) => [card.id, ...(card.aliases ?? [])]),
  );
  return { providers: new Set(providers.map((provider) => provider.name)), models: new Set(models) };
}
