import {
  Global,
  Inject,
  Module,
  type OnApplicationShutdown,
  type OnModuleInit,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { register } from 'prom-client';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { ConfigReloadReports } from './config-reload-reports.js';
import { CrashReports } from './crash-reports.js';
import { GuardedSink } from './guarded-sink.js';
import { GatewayLogger } from './logging/gateway-logger.js';
import { LogSink } from './logging/log.sink.js';
import { Logs, processLogs } from './logging/logs.js';
import { NEVER_MS, registerEventLoopMetrics } from './metrics/event-loop-metrics.js';
import { GatewayMetrics } from './metrics/gateway-metrics.js';
import { MetricsController } from './metrics/metrics.controller.js';
import { MetricsText } from './metrics/metrics-text.js';
import { dropMisnamedMetrics, registerProcessMetrics } from './metrics/process-metrics.js';
import { PrometheusSink } from './metrics/prometheus.sink.js';
import { UserBalanceGauge } from './metrics/user-balance.gauge.js';
import { RemoteSinks } from './remote-sinks.js';
import { Telemetry, type TelemetrySink } from './telemetry.js';
import { RecentTurns } from '../timing/recent-turns.js';

/** One `Telemetry` for everybody, with the sinks that the configuration asks for. */
@Global()
@Module({
  imports: [
    PrometheusModule.registerAsync({
      controller: MetricsController,
      inject: [APP_CONFIG],
      useFactory: (config: AppConfig) => ({
        defaultMetrics: {
          enabled: wantsDefaultMetrics(config),
          config: { eventLoopMonitoringPrecision: NEVER_MS },
        },
      }),
    }),
  ],
  providers: [
    { provide: Logs, inject: [APP_CONFIG], useFactory: processLogs },
    { provide: GatewayLogger, inject: [Logs], useFactory: (logs: Logs) => new GatewayLogger(logs) },
    { provide: GatewayMetrics, useFactory: () => new GatewayMetrics(register) },
    {
      provide: RemoteSinks,
      inject: [APP_CONFIG],
      useFactory: (config: AppConfig) => RemoteSinks.create(config),
    },
    { provide: Telemetry, inject: [APP_CONFIG, Logs, GatewayMetrics, RemoteSinks], useFactory: withSinks },
    CrashReports,
    ConfigReloadReports,
    RecentTurns,
    {
      provide: MetricsText,
      inject: [GatewayMetrics, Telemetry],
      useFactory: (metrics: GatewayMetrics, telemetry: Telemetry) => new MetricsText(metrics, telemetry),
    },
  ],
  exports: [Telemetry, Logs, GatewayLogger, GatewayMetrics, MetricsText, CrashReports, RecentTurns],
})
export class TelemetryModule implements OnModuleInit, OnApplicationBootstrap, OnApplicationShutdown {
  readonly #reopenLogs = (): void => this.logs.reopen();

  constructor(
    private readonly logs: Logs,
    private readonly remote: RemoteSinks,
    private readonly turns: RecentTurns,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  onModuleInit(): void {
    dropMisnamedMetrics(register);
    if (this.config.observability.prometheusEnabled) registerEventLoopMetrics(register, this.turns);
    this.turns.start();
    // Always, also without a log file: unhandled, the signal of a careless logrotate would end the process.
    if (process.platform !== 'win32') process.on('SIGUSR2', this.#reopenLogs);
  }

  /** From here on the loop is there for requests: the long turns of the start do not count. */
  onApplicationBootstrap(): void {
    this.turns.resetAfterStart();
  }

  async onApplicationShutdown(): Promise<void> {
    this.turns.stop();
    await this.remote.close();
    await this.logs.flush();
    process.off('SIGUSR2', this.#reopenLogs);
  }
}

function withSinks(config: AppConfig, logs: Logs, metrics: GatewayMetrics, remote: RemoteSinks): Telemetry {
  const telemetry = new Telemetry();
  const lost: Record<string, () => number> = {};
  const add = (name: string, sink: TelemetrySink, dropped: () => number) => {
    const guarded = new GuardedSink(sink);
    telemetry.addSink(guarded);
    lost[name] = () => dropped() + guarded.failures;
  };
  add('log', new LogSink(logs), () => logs.lost);
  if (config.observability.prometheusEnabled) add('metrics', prometheusSink(config, metrics), () => 0);
  for (const [name, sink] of remote.all) add(name, sink, () => sink.dropped);
  registerProcessMetrics(
    metrics.registry,
    { version: config.version, environment: config.environment },
    lost,
  );
  return telemetry;
}

function prometheusSink(config: AppConfig, metrics: GatewayMetrics): PrometheusSink {
  const { metricsMaxUsers } = config.observability;
  const balances = metricsMaxUsers > 0 ? new UserBalanceGauge(metrics.registry, metricsMaxUsers) : undefined;
  return new PrometheusSink(metrics, balances);
}

/** The default registry is the process's; a second application in it (tests) must not register them again. */
function wantsDefaultMetrics(config: AppConfig): boolean {
  return (
    config.observability.prometheusEnabled && !register.getSingleMetric('process_cpu_user_seconds_total')
  );
}
