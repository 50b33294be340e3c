import { Injectable, type OnModuleInit } from '@nestjs/common';
import { GatewayConfigStore } from '../config/gateway-config.store.js';
import { Telemetry } from './telemetry.js';

/** Tells of reloads: one that is refused changes nothing, so that nobody would see it but in the log. */
@Injectable()
export class ConfigReloadReports implements OnModuleInit {
  constructor(
    private readonly file: GatewayConfigStore,
    private readonly telemetry: Telemetry,
  ) {}

  onModuleInit(): void {
    this.file.onReloaded((faults) =>
      this.telemetry.event({ kind: 'config-reload', isRefused: faults.length > 0 }),
    );
  }
}
