/**
 * What is known of one model at one provider, written down in the vendor's folder.
 * Prices are not here: they come from the price book (see src/models), keyed by provider and upstream model.
 */
export interface ModelCard {
  /** The name clients use, and the upstream name unless `upstreamModel` says otherwise. */
  id: string;
  /** The vendor's own name for it, when it is another. */
  upstreamModel?: string;
  /** `owned_by` of the model list. */
  ownedBy: string;
  /** Unix seconds of its release. */
  created: number;
  /** Tokens that prompt and answer may have together. */
  contextWindow: number;
  /** Tokens that one answer may have at most (reasoning included). */
  maxOutputTokens: number;
  capabilities: ModelCapabilities;
  /** Other names that mean this model, e.g. the family name `claude-3`. */
  aliases?: readonly string[];
}

export interface ModelCapabilities {
  tools: boolean;
  vision: boolean;
  documents: boolean;
  audioInput: boolean;
  jsonSchema: boolean;
  reasoning: boolean;
}
