import type { ChatRequest } from '@app/contracts';

/** How often a vendor's own tool may be called in one answer when the request sets no limit. */
const CALLS_WITHOUT_LIMIT = 10;

/** The names under which usage and prices speak of a tool, by what a request asks for it with. */
const TOOL_NAMES: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/^web_?search|^google_?search/i, 'web_search'],
  [/^file_search/, 'file_search'],
  [/^code_(execution|interpreter)/, 'code_execution'],
];

type CallBounds = Readonly<Record<string, number>>;

const NO_CALLS: CallBounds = {};

/** Most calls of the vendors' own tools in one answer, by name. Functions of the client cost nothing by themselves. */
export function serverToolCallBounds(request: ChatRequest): CallBounds {
  const asksForSearch = request['web_search_options'] != null;
  if (!asksForSearch && !request.tools?.length) return NO_CALLS;
  const bounds = new Map<string, number>();
  if (asksForSearch) bounds.set('web_search', CALLS_WITHOUT_LIMIT);
  for (const tool of request.tools ?? []) {
    if (tool.type === 'function') continue;
    // Gemini's own form has no type: its tools are named by their keys.
    for (const type of (tool.type as string | undefined) ? [tool.type] : Object.keys(tool)) {
      const name = TOOL_NAMES.find(([pattern]) => pattern.test(type))?.[1] ?? type;
      bounds.set(name, (bounds.get(name) ?? 0) + callLimit(tool['max_uses']));
    }
  }
  return Object.fromEntries(bounds);
}

/** No balance covers more, and the amount of a hold has to stay a number that the database knows. */
const MOST_CALLS = 1_000_000;

function callLimit(maxUses: unknown): number {
  return typeof maxUses === 'number' && Number.isSafeInteger(maxUses) && maxUses > 0
    ? Math.min(maxUses, MOST_CALLS)
    : CALLS_WITHOUT_LIMIT;
}
