import { Module } from '@nestjs/common';
import { BillingModule } from '../billing/billing.module.js';
import { CacheModule } from '../cache/cache.module.js';
import { LimitsModule } from '../limits/limits.module.js';
import { ModelsModule } from '../models/models.module.js';
import { ProvidersModule } from '../providers/providers.module.js';
import { RoutingModule } from '../routing/routing.module.js';
import { AdmissionService } from './admission.service.js';
import { ChatCompletionsController } from './chat-completions.controller.js';
import { ChatCompletionsService } from './chat-completions.service.js';
import { CompletionExecution } from './completion-execution.service.js';
import { IdempotentAnswers } from './idempotent-answers.service.js';
import { CachedAnswers } from './cached-answers.service.js';
import { ESTIMATE_PLANNER } from '../billing/quote/estimate-planner.js';
import { EstimatePlanning } from './estimate-planning.service.js';
import { DrainPool } from './stream/drain-pool.js';

@Module({
  imports: [BillingModule, CacheModule, LimitsModule, ModelsModule, ProvidersModule, RoutingModule],
  controllers: [ChatCompletionsController],
  providers: [
    ChatCompletionsService,
    AdmissionService,
    IdempotentAnswers,
    CachedAnswers,
    CompletionExecution,
    DrainPool,
    { provide: ESTIMATE_PLANNER, useClass: EstimatePlanning },
  ],
})
export class CompletionsModule {}
