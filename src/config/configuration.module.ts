import { Global, Logger, Module, type OnModuleInit, Inject } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { APP_CONFIG } from './app-config.js';
import { parseEnvironmentFile } from './environment-file.js';
import { GATEWAY_CONFIG_FILE } from './gateway-config.js';
import { GatewayConfigStore } from './gateway-config.store.js';
import { loadConfiguration, type LoadedConfiguration, LOADED_CONFIGURATION } from './load-configuration.js';
import { PROVIDER_SETTINGS } from './provider-settings.js';

let loaded: LoadedConfiguration | undefined;

const environment = ConfigModule.forRoot({
  parser: parseEnvironmentFile,
  validate: (variables) => {
    loaded = loadConfiguration(variables);
    // The texts, not the parsed values: Nest writes what it gets here back to process.env.
    return variables;
  },
});
// Nest awaits this much later; until then a rejection must not count as unhandled.
environment.catch(() => {});

/** The environment and the GATEWAY_CONFIG file, read once, for everybody. Tests override `LOADED_CONFIGURATION`. */
@Global()
@Module({
  imports: [environment],
  providers: [
    { provide: LOADED_CONFIGURATION, useFactory: () => loaded },
    {
      provide: APP_CONFIG,
      inject: [LOADED_CONFIGURATION],
      useFactory: (all: LoadedConfiguration) => all.config,
    },
    {
      provide: PROVIDER_SETTINGS,
      inject: [LOADED_CONFIGURATION],
      useFactory: (all: LoadedConfiguration) => all.providerSettings,
    },
    {
      provide: GATEWAY_CONFIG_FILE,
      inject: [LOADED_CONFIGURATION],
      useFactory: (all: LoadedConfiguration) => all.gatewayConfig,
    },
    GatewayConfigStore,
  ],
  exports: [LOADED_CONFIGURATION, APP_CONFIG, PROVIDER_SETTINGS, GATEWAY_CONFIG_FILE, GatewayConfigStore],
})
export class ConfigurationModule implements OnModuleInit {
  readonly #logger = new Logger(ConfigurationModule.name);

  constructor(@Inject(LOADED_CONFIGURATION) private readonly configuration: LoadedConfiguration) {}

  onModuleInit(): void {
    for (const warning of this.configuration.warnings) this.#logger.warn(warning);
  }
}
