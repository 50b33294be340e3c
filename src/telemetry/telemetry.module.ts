import { Global, Module, type OnApplicationShutdown } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { GatewayLogger } from './logging/gateway-logger.js';
import { LogSink } from './logging/log.sink.js';
import { logOptions, Logs } from './logging/logs.js';
import { Telemetry } from './telemetry.js';

/** One `Telemetry` for everybody, with the sinks that the configuration asks for. */
@Global()
@Module({
  providers: [
    { provide: Logs, inject: [APP_CONFIG], useFactory: (config: AppConfig) => new Logs(logOptions(config)) },
    { provide: GatewayLogger, inject: [Logs], useFactory: (logs: Logs) => new GatewayLogger(logs) },
    { provide: Telemetry, inject: [Logs], useFactory: telemetryWithSinks },
  ],
  exports: [Telemetry, Logs, GatewayLogger],
})
export class TelemetryModule implements OnApplicationShutdown {
  constructor(private readonly logs: Logs) {}

  async onApplicationShutdown(): Promise<void> {
    await this.logs.flush();
  }
}

function telemetryWithSinks(logs: Logs): Telemetry {
  const telemetry = new Telemetry();
  telemetry.addSink(new LogSink(logs));
  return telemetry;
}
