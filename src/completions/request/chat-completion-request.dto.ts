import type { ChatMessage, ChatRequest, ChatTool, ResponseFormat, ToolChoice } from '@app/contracts';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import {
  ArrayMaxSize,
  ArrayNotEmpty,
  IsArray,
  IsBoolean,
  IsInt,
  IsNotEmpty,
  IsNumber,
  IsObject,
  IsOptional,
  IsString,
  Max,
  MaxLength,
  Min,
} from 'class-validator';
import { IsFunctionList, IsMessageList, IsStopList, IsToolChoice, IsToolList } from './chat-validators.js';

const MAX_MESSAGES = 10_000;
const MAX_TOKENS = 100_000_000;
const A_NUMBER = { message: '$property must be a number' };

/**
 * OpenAI's Chat Completions request, checked at the top level and down to what the gateway itself reads.
 *
 * Other fields stay in the object and reach the provider, or are refused there by name: a field that OpenAI adds tomorrow
 * works at once. `null` means "not set", as at OpenAI.
 */
export class ChatCompletionRequestDto implements ChatRequest {
  [key: string]: unknown;

  @ApiProperty({ example: 'echo', description: 'Model id or alias; see GET /v1/models.' })
  @IsString()
  @IsNotEmpty()
  @MaxLength(256)
  model: string;

  @ApiProperty({
    type: 'array',
    items: { $ref: '#/components/schemas/ChatMessage' },
    example: [{ role: 'user', content: 'Say hello.' }],
  })
  @IsArray()
  @ArrayNotEmpty()
  @ArrayMaxSize(MAX_MESSAGES)
  @IsMessageList()
  messages: ChatMessage[];

  @ApiPropertyOptional({
    type: Boolean,
    nullable: true,
    description: 'Send the answer as server-sent events.',
  })
  @IsOptional()
  @IsBoolean()
  stream?: boolean | null;

  @ApiPropertyOptional({
    type: 'object',
    nullable: true,
    properties: { include_usage: { type: 'boolean' } },
    additionalProperties: true,
  })
  @IsOptional()
  @IsObject()
  stream_options?: { include_usage?: boolean; [key: string]: unknown } | null;

  @ApiPropertyOptional({
    type: Number,
    nullable: true,
    description: 'Output limit in tokens (older name).',
  })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(MAX_TOKENS)
  max_tokens?: number | null;

  @ApiPropertyOptional({
    type: Number,
    nullable: true,
    description: 'Output limit in tokens, including reasoning.',
  })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(MAX_TOKENS)
  max_completion_tokens?: number | null;

  @ApiPropertyOptional({ type: Number, nullable: true, minimum: 0, maximum: 2 })
  @IsOptional()
  @IsNumber({}, A_NUMBER)
  @Min(0)
  @Max(2)
  temperature?: number | null;

  @ApiPropertyOptional({ type: Number, nullable: true, minimum: 0, maximum: 1 })
  @IsOptional()
  @IsNumber({}, A_NUMBER)
  @Min(0)
  @Max(1)
  top_p?: number | null;

  @ApiPropertyOptional({ type: Number, nullable: true, minimum: -2, maximum: 2 })
  @IsOptional()
  @IsNumber({}, A_NUMBER)
  @Min(-2)
  @Max(2)
  frequency_penalty?: number | null;

  @ApiPropertyOptional({ type: Number, nullable: true, minimum: -2, maximum: 2 })
  @IsOptional()
  @IsNumber({}, A_NUMBER)
  @Min(-2)
  @Max(2)
  presence_penalty?: number | null;

  @ApiPropertyOptional({ type: 'object', nullable: true, additionalProperties: { type: 'number' } })
  @IsOptional()
  @IsObject()
  logit_bias?: Record<string, number> | null;

  @ApiPropertyOptional({ type: Boolean, nullable: true })
  @IsOptional()
  @IsBoolean()
  logprobs?: boolean | null;

  @ApiPropertyOptional({ type: Number, nullable: true, minimum: 0, maximum: 20 })
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(20)
  top_logprobs?: number | null;

  @ApiPropertyOptional({ type: Number, nullable: true, minimum: 1, maximum: 128 })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(128)
  n?: number | null;

  @ApiPropertyOptional({ type: Number, nullable: true })
  @IsOptional()
  @IsInt()
  seed?: number | null;

  @ApiPropertyOptional({
    nullable: true,
    oneOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }],
  })
  @IsOptional()
  @IsStopList()
  stop?: string | string[] | null;

  @ApiPropertyOptional({
    type: 'array',
    nullable: true,
    items: { type: 'object', additionalProperties: true },
  })
  @IsOptional()
  @IsToolList()
  tools?: ChatTool[] | null;

  @ApiPropertyOptional({
    nullable: true,
    oneOf: [
      { type: 'string', enum: ['none', 'auto', 'required'] },
      { type: 'object', additionalProperties: true },
    ],
  })
  @IsOptional()
  @IsToolChoice()
  tool_choice?: ToolChoice | null;

  @ApiPropertyOptional({ type: Boolean, nullable: true })
  @IsOptional()
  @IsBoolean()
  parallel_tool_calls?: boolean | null;

  @ApiPropertyOptional({
    type: 'array',
    nullable: true,
    items: { type: 'object', additionalProperties: true },
  })
  @IsOptional()
  @IsFunctionList()
  functions?: ChatRequest['functions'];

  @ApiPropertyOptional({
    type: 'object',
    nullable: true,
    additionalProperties: true,
    example: { type: 'json_object' },
  })
  @IsOptional()
  @IsObject()
  response_format?: ResponseFormat | null;

  @ApiPropertyOptional({ type: String, nullable: true, example: 'low' })
  @IsOptional()
  @IsString()
  @MaxLength(64)
  reasoning_effort?: string | null;

  @ApiPropertyOptional({ type: String, nullable: true })
  @IsOptional()
  @IsString()
  @MaxLength(1024)
  user?: string | null;

  @ApiPropertyOptional({ type: String, nullable: true })
  @IsOptional()
  @IsString()
  @MaxLength(64)
  service_tier?: string | null;

  @ApiPropertyOptional({ type: 'object', nullable: true, additionalProperties: { type: 'string' } })
  @IsOptional()
  @IsObject()
  metadata?: Record<string, string> | null;
}
