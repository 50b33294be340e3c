import { createHash } from 'node:crypto';
import type { BuiltInSettings } from './script.js';

/** 2025-10-09, so that answers never depend on the clock. */
export const CREATED_SECONDS = 1_760_000_000;

/** What a built-in answer says, before a vendor's dialect is put on. */
export interface ReplyPlan {
  /** 24 hex digits made from the request's body. */
  id: string;
  /** Each with its trailing blank; together the text. One token each. */
  words: string[];
  inputTokens: number;
  /** The output limit cut the text short. */
  truncated: boolean;
  /** Set when the request forces a tool: called with arguments made up from its schema. */
  toolCall: { name: string; arguments: Record<string, unknown> } | undefined;
}

export interface ReplyRequest {
  body: string;
  /** Every text of the conversation; the last one is what is answered. */
  texts: string[];
  maxOutputTokens: number | undefined;
  wantsJson: boolean;
  /** The tool the request forces, with its JSON schema. */
  forcedTool: { name: string; schema: unknown } | undefined;
}

export function planReply(request: ReplyRequest, settings: BuiltInSettings): ReplyPlan {
  const words = request.wantsJson
    ? ['{"answer":', ' "yes"}']
    : sayBack(request.texts.at(-1) ?? '', settings.words);
  const limit = request.maxOutputTokens ?? Number.POSITIVE_INFINITY;
  return {
    id: createHash('sha256').update(request.body).digest('hex').slice(0, 24),
    words: words.slice(0, limit),
    inputTokens: request.texts.reduce((sum, text) => sum + Math.ceil(text.length / 4) + 3, 3),
    truncated: words.length > limit,
    toolCall: request.forcedTool && {
      name: request.forcedTool.name,
      arguments: sampleArguments(request.forcedTool.schema),
    },
  };
}

function sayBack(text: string, count: number | undefined): string[] {
  const words = ['You', 'just', 'said:', ...text.split(/\s+/).filter((word) => word !== '')];
  const wanted = Array.from(
    { length: count ?? words.length },
    (_, index) => words[index % words.length] ?? '',
  );
  return wanted.map((word, index) => (index === wanted.length - 1 ? word : `${word} `));
}

/** One value for each required property of a JSON schema. */
function sampleArguments(schema: unknown): Record<string, unknown> {
  const { properties, required } = Object(schema) as {
    properties?: Record<string, unknown>;
    required?: string[];
  };
  const names = required ?? Object.keys(properties ?? {});
  return Object.fromEntries(names.map((name) => [name, sampleValue(properties?.[name])]));
}

function sampleValue(schema: unknown): unknown {
  const { type, enum: allowed } = Object(schema) as { type?: string; enum?: unknown[] };
  if (allowed && allowed.length > 0) return allowed[0];
  switch (type?.toLowerCase()) {
    case 'number':
    case 'integer':
      return 1;
    case 'boolean':
      return true;
    case 'array':
      return [];
    case 'object':
      return sampleArguments(schema);
    default:
      return 'Paris';
  }
}

/** Server-sent events, one for each value; `event` lines when the value says its type and `named` is set. */
export function toEventStream(
  events: unknown[],
  options: { named?: boolean; lineEnd?: string } = {},
): string {
  const { named = false, lineEnd = '\n' } = options;
  const lines = events.map((event) => {
    const name = named ? `event: ${String(Object(event).type)}${lineEnd}` : '';
    return `${name}data: ${JSON.stringify(event)}${lineEnd}${lineEnd}`;
  });
  return lines.join('');
}

/** Texts of a content field: a string, or parts of which some have text. */
export function textsOf(content: unknown): string[] {
  if (typeof content === 'string') return [content];
  if (!Array.isArray(content)) return [];
  return content.flatMap((part: unknown) => {
    const { text } = Object(part) as { text?: unknown };
    return typeof text === 'string' ? [text] : [];
  });
}
