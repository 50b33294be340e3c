import type { ModelCapabilities } from '@app/contracts';
import type { PriceCard, TokenPrices } from '@app/money';
import type { ProviderSettings } from '../providers/provider-definition.js';

/** Injection token of the `GatewayConfig` read at boot. Whoever follows reloads asks `GatewayConfigStore` instead. */
export const GATEWAY_CONFIG_FILE = Symbol('GATEWAY_CONFIG_FILE');

/** The GATEWAY_CONFIG file after validation: every name in it leads somewhere, every number is exact. Frozen. */
export interface GatewayConfig {
  readonly providers: ReadonlyMap<string, GatewayProvider>;
  readonly models: ReadonlyMap<string, GatewayModel>;
  /** Alias -> model id or built-in alias. */
  readonly aliases: ReadonlyMap<string, string>;
}

/** A further provider, spoken to in OpenAI's dialect. */
export interface GatewayProvider {
  readonly name: string;
  readonly type: 'openai-compatible';
  /** `apiKey` is already read from the variable that `api_key_env` names. */
  readonly settings: ProviderSettings;
  /** Of one whole upstream call; `undefined` = REQUEST_TIMEOUT_SECONDS. */
  readonly timeoutMs: number | undefined;
}

/**
 * A `price:` block: a whole price, or (without `base`) an addition to the price that holds without it.
 * Of a model that is the vendor's, of a target the model's.
 */
export interface GatewayPrice extends Pick<PriceCard, 'tiers' | 'toolCallPico'> {
  readonly base: TokenPrices | undefined;
  /** `undefined` = not named. */
  readonly requestPico: bigint | undefined;
}

/** A model of the file: a new one, or changes to a built-in one. `undefined` = as built in, or the default. */
export interface GatewayModel {
  /** Ends in `*` for a wildcard: every name with that beginning, `*` in a target's model standing for the rest. */
  readonly id: string;
  readonly targets: readonly GatewayTarget[] | undefined;
  readonly fallbacks: readonly string[] | undefined;
  /** In BILLING_CURRENCY; for every target that names no whole one of its own. */
  readonly price: GatewayPrice | undefined;
  readonly contextWindow: number | undefined;
  readonly maxOutputTokens: number | undefined;
  readonly capabilities: Partial<ModelCapabilities>;
  readonly ownedBy: string | undefined;
  readonly cache: { readonly ttlMs: number } | undefined;
}

export interface GatewayTarget {
  readonly provider: string;
  readonly upstreamModel: string;
  /** Share of the traffic; 0 = only when the weighted ones failed. */
  readonly weight: number;
  readonly price: GatewayPrice | undefined;
}

export const EMPTY_GATEWAY_CONFIG: GatewayConfig = Object.freeze({
  providers: new Map(),
  models: new Map(),
  aliases: new Map(),
});
