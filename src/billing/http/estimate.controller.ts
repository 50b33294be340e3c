import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { ApiAnswer } from '../../docs/api-answer.decorator.js';
import { ApiErrors } from '../../docs/api-errors.decorator.js';
import { Context, type RequestContext, requirePrincipal } from '../../edge/request-context.js';
import { type Estimate, EstimatorService } from '../quote/estimator.service.js';
import { ESTIMATE_EXAMPLE } from './billing.examples.js';

@ApiTags('billing')
@ApiBearerAuth('bearer')
@Controller(['billing', 'openai/v1/billing'])
export class EstimateController {
  constructor(private readonly estimator: EstimatorService) {}

  @Post('estimate')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Worst-case and expected price of a chat request, without sending it',
    description:
      'No provider is called. A parameter that a provider does not support (400 `unsupported_parameter` for the completion) ' +
      'still gets a price here. `model` is the name the charge would be booked under, even if the request names an alias.',
  })
  @ApiBody({
    schema: {
      type: 'object',
      additionalProperties: true,
      description: 'The body of POST /v1/chat/completions.',
    },
    examples: {
      echo: {
        summary: 'A short question',
        value: { model: 'echo', messages: [{ role: 'user', content: 'Say hello.' }] },
      },
    },
  })
  @ApiAnswer(ESTIMATE_EXAMPLE, { nullable: ['affordable_output_tokens'] })
  @ApiErrors(400, 401, 403, 404, 413, 415, 429, 503)
  estimate(@Body() body: object, @Context() context: RequestContext): Promise<Estimate> {
    return this.estimator.estimate(body, requirePrincipal(context));
  }
}
