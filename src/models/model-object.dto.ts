import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';

const PER_MILLION = 'Decimal as text, per million tokens.';

/** OpenAI's old permission object: always the same here, kept for clients that read it. */
export class ModelPermission {
  @ApiProperty({ example: 'modelperm-1f3870be274f6c49b3e31a0c' }) id: string;
  @ApiProperty({ enum: ['model_permission'] }) object: 'model_permission';
  @ApiProperty({ example: 1_677_610_602 }) created: number;
  @ApiProperty({ example: false }) allow_create_engine: boolean;
  @ApiProperty({ example: true }) allow_sampling: boolean;
  @ApiProperty({ example: true }) allow_logprobs: boolean;
  @ApiProperty({ example: false }) allow_search_indices: boolean;
  @ApiProperty({ example: true }) allow_view: boolean;
  @ApiProperty({ example: false }) allow_fine_tuning: boolean;
  @ApiProperty({ example: '*' }) organization: string;
  @ApiProperty({ type: String, nullable: true, example: null }) group: string | null;
  @ApiProperty({ example: false }) is_blocking: boolean;
}

export class ModelCapabilityFlags {
  @ApiProperty() tools: boolean;
  @ApiProperty() vision: boolean;
  @ApiProperty() documents: boolean;
  @ApiProperty() audio_input: boolean;
  @ApiProperty() json_schema: boolean;
  @ApiProperty() reasoning: boolean;
}

/** Prices from a number of input tokens on; categories that are not named keep the base price. */
export class ModelPriceTier {
  @ApiProperty({
    example: 200_000,
    description: 'If the input is larger than this, these prices apply to the whole request.',
  })
  above_input_tokens: number;
  @ApiProperty({ example: '2.5', description: PER_MILLION }) input_per_million: string;
  @ApiProperty({ example: '15', description: PER_MILLION }) output_per_million: string;
}

export class ModelPricing {
  @ApiProperty({ example: 'USD' }) currency: string;
  @ApiProperty({ example: '0.5', description: PER_MILLION }) input_per_million: string;
  @ApiProperty({ example: '1.5', description: PER_MILLION }) output_per_million: string;
  @ApiPropertyOptional({ example: '0.25', description: PER_MILLION }) cached_input_per_million?: string;
  @ApiPropertyOptional({ description: PER_MILLION }) cache_write_per_million?: string;
  @ApiPropertyOptional({ description: PER_MILLION }) cache_write_1h_per_million?: string;
  @ApiPropertyOptional({ description: PER_MILLION }) audio_input_per_million?: string;
  @ApiPropertyOptional({ description: PER_MILLION }) cached_audio_input_per_million?: string;
  @ApiPropertyOptional({ description: PER_MILLION }) audio_output_per_million?: string;
  @ApiPropertyOptional({ description: PER_MILLION }) image_input_per_million?: string;
  @ApiPropertyOptional({ description: PER_MILLION }) image_output_per_million?: string;
  @ApiPropertyOptional({ example: '0.005', description: 'Decimal as text, per request.' })
  per_request?: string;
  @ApiPropertyOptional({
    type: Object,
    example: { web_search: '0.01' },
    description: 'Decimals as text, per call of a tool that the provider itself runs.',
  })
  tool_calls?: Record<string, string>;
  @ApiPropertyOptional({ type: [ModelPriceTier] }) tiers?: ModelPriceTier[];
}

/** One model, as OpenAI's API shows it, with what a client needs to choose one. */
export class ModelObject {
  @ApiProperty({ example: 'gpt-3.5-turbo' }) id: string;
  @ApiProperty({ enum: ['model'] }) object: 'model';
  @ApiProperty({ example: 1_677_610_602, description: 'When it was released, as Unix time in seconds.' })
  created: number;
  @ApiProperty({ example: 'openai' }) owned_by: string;
  @ApiProperty({ type: [ModelPermission] }) permission: ModelPermission[];
  @ApiProperty({
    example: 'gpt-3.5-turbo',
    description: 'The model that an alias stands for, otherwise the model itself.',
  })
  root: string;
  @ApiProperty({ type: String, nullable: true, example: null }) parent: string | null;
  @ApiPropertyOptional({ example: 'openai', description: 'The provider that is tried first.' })
  provider?: string;
  @ApiPropertyOptional({ example: 16_385, description: 'Tokens, prompt and answer together.' })
  context_window?: number;
  @ApiPropertyOptional({ example: 4096, description: 'Tokens per answer.' }) max_output_tokens?: number;
  @ApiPropertyOptional({ type: ModelCapabilityFlags }) capabilities?: ModelCapabilityFlags;
  @ApiPropertyOptional({ type: ModelPricing }) pricing?: ModelPricing;
}

/** OpenAI's envelope. */
export class ModelListObject {
  @ApiProperty({ enum: ['list'] }) object: 'list';
  @ApiProperty({ type: [ModelObject] }) data: ModelObject[];
}
