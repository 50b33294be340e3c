import { Global, Module } from '@nestjs/common';
import { GatewayErrorFilter } from './gateway-error.filter.js';
import { InFlight } from './in-flight.js';
import { JsonBodyGuard } from './json-body.guard.js';

@Global()
@Module({
  providers: [InFlight, JsonBodyGuard, GatewayErrorFilter],
  exports: [InFlight, JsonBodyGuard, GatewayErrorFilter],
})
export class EdgeModule {}
