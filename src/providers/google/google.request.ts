import type { ProviderCall } from '@app/contracts';
import { translateMessages } from './google.contents.js';
import { applyParameters, limitOutput, type ParameterDraft } from './google.parameters.js';
import {
  combinesTools,
  demandsImageSignatures,
  demandsSignatures,
  takesMediaInResults,
} from './google.traits.js';
import { hasGoogleTools, translateTools } from './google.tools.js';
import { UnsupportedParams } from '../translation/unsupported-params.js';
import { type GeminiRequest, isObject, type JsonObject } from './google.wire.js';

export interface TranslatedRequest {
  readonly body: GeminiRequest;
  readonly droppedParams: readonly string[];
  readonly legacyFunctions: boolean;
  /** The client takes one call at a time: Gemini cannot be told so. */
  readonly oneCall: boolean;
  readonly citesSources: boolean;
}

/**
 * ChatRequest -> body of `generateContent` and `streamGenerateContent`.
 *
 * @throws GatewayError  `unsupported_parameter` and `invalid_body`, with the field's name
 */
export function toGeminiRequest(call: ProviderCall): TranslatedRequest {
  const { request } = call;
  const unsupported = new UnsupportedParams(call.dropUnsupported, 'is not supported by Google Gemini');
  const draft: ParameterDraft = { generation: {}, body: {}, model: call.upstreamModel, unsupported };
  if (call.maxOutputTokens !== undefined) limitOutput(draft.generation, call.maxOutputTokens);
  applyParameters(request, draft);
  const options = {
    demandsSignatures: demandsSignatures(call.upstreamModel),
    demandsImageSignatures: demandsImageSignatures(call.upstreamModel),
    mediaInResults: takesMediaInResults(call.upstreamModel),
  };
  const { contents, systemInstruction } = translateMessages(request.messages, options, unsupported);
  const { tools, toolConfig } = translateTools(request, combinesTools(call.upstreamModel), unsupported);
  const body: GeminiRequest = {
    contents,
    ...(systemInstruction ? { systemInstruction } : {}),
    ...(tools ? { tools } : {}),
    ...draft.body,
    ...mergeToolConfig(toolConfig, draft.body.toolConfig),
    ...(Object.keys(draft.generation).length > 0 ? { generationConfig: draft.generation } : {}),
  };
  return { body, droppedParams: unsupported.dropped, ...answerKind(call, tools) };
}

function mergeToolConfig(own: JsonObject | undefined, raw: unknown): { toolConfig?: JsonObject } {
  const merged = { ...own, ...(isObject(raw) ? raw : {}) };
  return Object.keys(merged).length > 0 ? { toolConfig: merged } : {};
}

function answerKind({ request }: ProviderCall, tools: readonly JsonObject[] = []) {
  const legacyFunctions = (request.functions?.length ?? 0) > 0 && (request.tools?.length ?? 0) === 0;
  return {
    legacyFunctions,
    oneCall: legacyFunctions || request.parallel_tool_calls === false,
    citesSources: hasGoogleTools(tools),
  };
}
