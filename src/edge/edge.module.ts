import { Global, Module } from '@nestjs/common';
import { InFlight } from './in-flight.js';

@Global()
@Module({ providers: [InFlight], exports: [InFlight] })
export class EdgeModule {}
