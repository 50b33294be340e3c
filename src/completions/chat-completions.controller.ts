import { GatewayError } from '@app/contracts';
import { Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiBody,
  ApiHeader,
  ApiOperation,
  ApiQuery,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { Billed } from '../billing/billed.decorator.js';
import { BillingInterceptor } from '../billing/billing.interceptor.js';
import { CHAT_SCHEMAS } from '../docs/chat-schemas.js';
import { ApiErrors } from '../docs/api-errors.decorator.js';
import { ChatCompletionsService } from './chat-completions.service.js';
import { ChatCompletionRequestDto } from './request/chat-completion-request.dto.js';
import { toChatRequest } from './request/to-chat-request.js';

const EXAMPLES = {
  whole: {
    summary: 'A whole answer',
    value: { model: 'echo', messages: [{ role: 'user', content: 'Say hello.' }] },
  },
  stream: {
    summary: 'A stream with usage',
    value: {
      model: 'echo',
      messages: [{ role: 'user', content: 'Say hello.' }],
      stream: true,
      stream_options: { include_usage: true },
    },
  },
  fails: {
    summary: 'A model that is not served (404)',
    value: { model: 'gpt-9', messages: [{ role: 'user', content: 'Say hello.' }] },
  },
};

const EXPLAIN = {
  name: 'explain',
  required: false,
  enum: ['route'],
  description: 'For administrators: shows which targets would be tried; nothing is sent.',
};

const ERRORS = [400, 401, 402, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503, 504];

const PATHS = ['v1/chat/completions', 'openai/v1/chat/completions'];
/** Where `create` is: the routes that most requests are for. */
export const COMPLETION_PATHS: readonly string[] = PATHS.map((path) => `/${path}`);

@ApiTags('completions')
@ApiBearerAuth('bearer')
@ApiHeader({
  name: 'Idempotency-Key',
  required: false,
  description: 'One key, one upstream call, one charge; valid for 24 h by default.',
})
@ApiHeader({
  name: 'x-cache-ttl',
  required: false,
  description: 'For how many seconds the same answer is kept and served.',
})
@Controller(PATHS)
export class ChatCompletionsController {
  constructor(
    private readonly completions: ChatCompletionsService,
    private readonly billing: BillingInterceptor,
  ) {}

  @Post()
  @HttpCode(200)
  @ApiOperation({ summary: 'Create a chat completion, whole or streamed (stream: true)' })
  @ApiBody({ type: ChatCompletionRequestDto, examples: EXAMPLES })
  @ApiQuery(EXPLAIN)
  @ApiResponse({
    status: 200,
    description: 'The answer; with `stream: true`, server-sent events.',
    content: {
      'application/json': {
        schema: {
          oneOf: [
            { $ref: '#/components/schemas/ChatCompletion' },
            { $ref: '#/components/schemas/RouteExplanation' },
          ],
        },
        example: CHAT_SCHEMAS['ChatCompletion']?.example,
      },
      'text/event-stream': { schema: { $ref: '#/components/schemas/ChatCompletionChunk' } },
    },
  })
  @ApiErrors(...ERRORS)
  create(@Req() incoming: Request, @Res() response: Response): Promise<void> {
    const request = toChatRequest(incoming.body);
    const isStream = request.stream === true;
    if (wantsExplanation(incoming)) return this.completions.explain(request, isStream, incoming, response);
    return this.billing.around(incoming.gateway, () =>
      this.completions.answer(request, isStream, incoming, response),
    );
  }

  @Post('stream')
  @HttpCode(200)
  @Billed()
  @ApiOperation({ summary: 'Create a chat completion, always streamed' })
  @ApiBody({ type: ChatCompletionRequestDto, examples: EXAMPLES })
  @ApiQuery(EXPLAIN)
  @ApiResponse({
    status: 200,
    description: 'Server-sent events.',
    content: {
      'text/event-stream': { schema: { $ref: '#/components/schemas/ChatCompletionChunk' } },
      'application/json': { schema: { $ref: '#/components/schemas/RouteExplanation' } },
    },
  })
  @ApiErrors(...ERRORS)
  stream(@Req() incoming: Request, @Res() response: Response): Promise<void> {
    const request = toChatRequest(incoming.body);
    if (wantsExplanation(incoming)) return this.completions.explain(request, true, incoming, response);
    return this.completions.answer(request, true, incoming, response);
  }
}

/** @throws GatewayError `invalid_query`: a misspelt dry run must not become a paid one */
function wantsExplanation(incoming: Request): boolean {
  const explain = incoming.query?.['explain'];
  if (explain === undefined || explain === 'route') return explain !== undefined;
  throw new GatewayError('invalid_query', 'explain must be "route".', { param: 'explain' });
}
