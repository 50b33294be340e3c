import { Module } from '@nestjs/common';
import { ModelsModule } from '../models/models.module.js';
import { ProvidersModule } from '../providers/providers.module.js';
import { ResilienceModule } from '../providers/resilience/resilience.module.js';
import { Dispatcher } from './dispatcher.service.js';
import { LatencyBook } from './latency-book.service.js';
import { RemovedTargets } from './removed-targets.service.js';
import { RoutePlanner } from './route-planner.service.js';
import { TargetAvailability } from './target-availability.service.js';

/** From a model to the target that answers: the plan, and the walk along it. */
@Module({
  imports: [ModelsModule, ProvidersModule, ResilienceModule],
  providers: [RoutePlanner, Dispatcher, LatencyBook, TargetAvailability, RemovedTargets],
  exports: [RoutePlanner, Dispatcher],
})
export class RoutingModule {}
