import { Module } from '@nestjs/common';
import { OpsController } from './ops.controller.js';

/** The operator's page at /ops and the summary behind it. */
@Module({ controllers: [OpsController] })
export class OpsModule {}
