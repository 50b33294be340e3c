import { planReply, type ReplyPlan, textsOf, toEventStream } from './reply-plan.js';
import type { Answer, BuiltInSettings, RecordedRequest } from './script.js';

interface GoogleBody {
  contents?: { role?: string; parts?: unknown } | { role?: string; parts?: unknown }[];
  systemInstruction?: { parts?: unknown };
  system_instruction?: { parts?: unknown };
  generationConfig?: { maxOutputTokens?: number; responseMimeType?: string; candidateCount?: number };
  tools?: {
    functionDeclarations?: { name: string; parameters?: unknown; parametersJsonSchema?: unknown }[];
  }[];
  toolConfig?: { functionCallingConfig?: { mode?: string; allowedFunctionNames?: string[] } };
}

/** Gemini's generateContent, streamGenerateContent and model list. */
export function googleAnswer(request: RecordedRequest, settings: BuiltInSettings): Answer {
  if (request.path.endsWith('/models')) return { body: { json: MODEL_LIST } };
  if (!/:(streamG|g)enerateContent$/.test(request.path)) return failure(404, 'NOT_FOUND', 'Not found');
  if (!request.headers['x-goog-api-key'] && !request.query['key']) {
    return failure(400, 'INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.');
  }
  const body = Object(request.json) as GoogleBody;
  const plan = planReply(readRequest(request.body, body), settings);
  if (!request.stream) return { body: { json: response(request, body, plan) } };
  if (request.query['alt'] !== 'sse') return { body: { json: chunks(request, plan) } };
  return { body: { sse: toEventStream(chunks(request, plan), { lineEnd: '\r\n' }) } };
}

function readRequest(text: string, body: GoogleBody): Parameters<typeof planReply>[0] {
  const system = body.systemInstruction ?? body.system_instruction;
  const contents = body.contents === undefined ? [] : [body.contents].flat();
  return {
    body: text,
    texts: [...textsOf(system?.parts), ...contents.flatMap((content) => textsOf(content.parts))],
    maxOutputTokens: body.generationConfig?.maxOutputTokens,
    wantsJson: body.generationConfig?.responseMimeType === 'application/json',
    forcedTool: forcedTool(body),
  };
}

function forcedTool(body: GoogleBody): { name: string; schema: unknown } | undefined {
  const config = body.toolConfig?.functionCallingConfig;
  if (config?.mode !== 'ANY') return undefined;
  const wanted = config.allowedFunctionNames?.[0];
  const declared = (body.tools ?? []).flatMap((tool) => tool.functionDeclarations ?? []);
  const tool = declared.find((item) => wanted === undefined || item.name === wanted);
  return tool && { name: tool.name, schema: tool.parametersJsonSchema ?? tool.parameters };
}

function response(request: RecordedRequest, body: GoogleBody, plan: ReplyPlan): unknown {
  const parts = plan.toolCall ? [functionCall(plan)] : [{ text: plan.words.join('') }];
  const candidates = Array.from({ length: body.generationConfig?.candidateCount ?? 1 }, (_, index) => ({
    content: { parts, role: 'model' },
    finishReason: finishReason(plan),
    index,
  }));
  return { candidates, ...trailer(request, plan, outputTokens(plan) * candidates.length) };
}

function chunks(request: RecordedRequest, plan: ReplyPlan): unknown[] {
  const pieces = plan.toolCall ? [functionCall(plan)] : plan.words.map((text) => ({ text }));
  return pieces.map((part, position) => {
    const last = position === pieces.length - 1;
    const candidate = { content: { parts: [part], role: 'model' }, index: 0 };
    return {
      candidates: [last ? { ...candidate, finishReason: finishReason(plan) } : candidate],
      ...trailer(request, plan, last ? outputTokens(plan) : position + 1),
    };
  });
}

function functionCall(plan: ReplyPlan): unknown {
  return { functionCall: { name: plan.toolCall?.name, args: plan.toolCall?.arguments } };
}

function trailer(
  request: RecordedRequest,
  plan: ReplyPlan,
  candidatesTokenCount: number,
): Record<string, unknown> {
  return {
    usageMetadata: {
      promptTokenCount: plan.inputTokens,
      candidatesTokenCount,
      totalTokenCount: plan.inputTokens + candidatesTokenCount,
      promptTokensDetails: [{ modality: 'TEXT', tokenCount: plan.inputTokens }],
    },
    modelVersion: request.model,
    responseId: plan.id,
  };
}

function finishReason(plan: ReplyPlan): string {
  return plan.truncated && !plan.toolCall ? 'MAX_TOKENS' : 'STOP';
}

function outputTokens(plan: ReplyPlan): number {
  return plan.toolCall ? 8 : plan.words.length;
}

function failure(code: number, status: string, message: string): Answer {
  return { status: code, body: { json: { error: { code, message, status } } } };
}

const MODEL_LIST = {
  models: ['gemini-1.5-pro', 'gemini-pro'].map((id) => ({
    name: `models/${id}`,
    displayName: id,
    supportedGenerationMethods: ['generateContent', 'countTokens'],
  })),
};
