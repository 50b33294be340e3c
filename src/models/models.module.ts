import { Module } from '@nestjs/common';
import { PROVIDERS } from '../providers/provider-strategies.js';
import { ModelCatalog } from './model-catalog.service.js';
import { ModelListService } from './model-list.service.js';
import { ModelsController, OpenAiModelsController } from './models.controller.js';
import { PROVIDER_DEFINITIONS } from './provider-definitions.js';

/** What can be asked for, at which provider, at what price. */
@Module({
  controllers: [ModelsController, OpenAiModelsController],
  providers: [{ provide: PROVIDER_DEFINITIONS, useValue: PROVIDERS }, ModelCatalog, ModelListService],
  exports: [ModelCatalog],
})
export class ModelsModule {}
