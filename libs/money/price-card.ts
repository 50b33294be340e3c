/**
 * Prices of one model at one provider, in pico-units of the currency per token (1e-12; equal to micro-units per million
 * tokens, so `$0.0375 per million` is exactly `37500n`). A category without a price of its own is `undefined` and is
 * charged like the category it is a part of (cached input like input); `0n` means free.
 */
export interface TokenPrices {
  readonly inputPico: bigint;
  readonly outputPico: bigint;
  readonly cacheReadPico?: bigint | undefined;
  readonly cacheWritePico?: bigint | undefined;
  /** Cache writes with the long lifetime: an hour at Anthropic, twelve at OpenAI. */
  readonly cacheWrite1hPico?: bigint | undefined;
  readonly audioInputPico?: bigint | undefined;
  readonly cacheReadAudioPico?: bigint | undefined;
  readonly audioOutputPico?: bigint | undefined;
  readonly imageInputPico?: bigint | undefined;
  readonly imageOutputPico?: bigint | undefined;
}

/** Above this many input tokens the whole request is priced by `prices`. */
export interface PriceTier {
  readonly aboveInputTokens: number;
  readonly prices: TokenPrices;
}

export interface PriceCard {
  readonly base: TokenPrices;
  /** Ascending by `aboveInputTokens`; empty for most models. */
  readonly tiers: readonly PriceTier[];
  /** Per request, pico-units. */
  readonly requestPico: bigint;
  /** Server-side tools, pico-units per call, by the name used in `Usage.serverToolCalls`. */
  readonly toolCallPico: Readonly<Record<string, bigint>>;
}
