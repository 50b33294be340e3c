import { GatewayError } from '@app/contracts';
import { Controller, Get, Headers, Param } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiExtraModels,
  ApiHeader,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';
import { ApiErrors } from '../docs/api-errors.decorator.js';
import { Context, type RequestContext, requirePrincipal } from '../edge/request-context.js';
import { ModelListService } from './model-list.service.js';
import { ModelListObject, ModelObject } from './model-object.dto.js';

const ID = {
  name: 'id',
  type: String,
  example: 'gpt-3.5-turbo',
  description: 'An id or an alias; it may contain slashes.',
};

/** The models that a token may use. */
@ApiTags('models')
@ApiBearerAuth('bearer')
@ApiExtraModels(ModelObject, ModelListObject)
@Controller('v1/models')
export class ModelsController {
  constructor(private readonly models: ModelListService) {}

  @Get()
  @ApiOperation({
    summary: 'List the models this token may use',
    description:
      'A bare array. Clients built on an OpenAI SDK (they send `x-stainless-lang`) get the envelope `{object: "list", data: [...]}`; under `/openai/v1` every client does.',
  })
  @ApiHeader({ name: 'x-stainless-lang', required: false, description: 'Sent by the OpenAI SDKs.' })
  @ApiOkResponse({
    description: 'Sorted by id. Aliases are listed like models.',
    content: {
      'application/json': {
        schema: {
          oneOf: [
            { type: 'array', items: { $ref: getSchemaPath(ModelObject) } },
            { $ref: getSchemaPath(ModelListObject) },
          ],
        },
      },
    },
  })
  @ApiErrors(401, 429, 503)
  async list(
    @Context() context: RequestContext,
    @Headers('x-stainless-lang') sdkLanguage?: string,
  ): Promise<ModelObject[] | ModelListObject> {
    const models = await this.models.list(requirePrincipal(context));
    return sdkLanguage === undefined ? models : { object: 'list', data: models };
  }

  // A model's id may contain slashes, encoded or not.
  @Get('*id')
  @ApiOperation({ summary: 'Show one model' })
  @ApiParam(ID)
  @ApiOkResponse({ type: ModelObject })
  @ApiErrors(401, 404, 429, 503)
  get(@Param('id') id: unknown, @Context() context: RequestContext): Promise<ModelObject> {
    return this.models.get(nameOf(id), requirePrincipal(context));
  }
}

/** The same under the prefix for clients that must have OpenAI's envelope. */
@ApiTags('models')
@ApiBearerAuth('bearer')
@Controller('openai/v1/models')
export class OpenAiModelsController {
  constructor(private readonly models: ModelListService) {}

  @Get()
  @ApiOperation({ summary: "List the models this token may use, in OpenAI's envelope" })
  @ApiOkResponse({ type: ModelListObject })
  @ApiErrors(401, 429, 503)
  async list(@Context() context: RequestContext): Promise<ModelListObject> {
    return { object: 'list', data: await this.models.list(requirePrincipal(context)) };
  }

  @Get('*id')
  @ApiOperation({ summary: 'Show one model' })
  @ApiParam(ID)
  @ApiOkResponse({ type: ModelObject })
  @ApiErrors(401, 404, 429, 503)
  get(@Param('id') id: unknown, @Context() context: RequestContext): Promise<ModelObject> {
    return this.models.get(nameOf(id), requirePrincipal(context));
  }
}

/** Express gives a wildcard as its decoded segments. */
function nameOf(segments: unknown): string {
  const parts = Array.isArray(segments) ? segments : [segments];
  if (parts.every((part) => typeof part === 'string')) return parts.join('/');
  throw new GatewayError('model_not_found', 'There is no such model.', { param: 'model' });
}
