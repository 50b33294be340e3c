/** What requests and vendors call a tool that the vendor runs, and the name that usage and prices have for it. */
const TOOL_NAMES: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/^web_?search|^google_?search/i, 'web_search'],
  [/^file_?search/i, 'file_search'],
  [/^code_?(execution|interpreter)/i, 'code_execution'],
  [/^google_?maps/i, 'google_maps'],
  [/^enterprise_?web_?search/i, 'enterprise_web_search'],
  [/^image_?generation/i, 'image_generation'],
];

/** OpenAI's older search counts as a search, and has a price of its own beside that of searches. */
export const OLDER_SEARCH = 'web_search_preview';

/** The name in `Usage.serverToolCalls`. */
export function usageToolName(type: string): string {
  return TOOL_NAMES.find(([pattern]) => pattern.test(type))?.[1] ?? type;
}

/** The name in `PriceCard.toolCallPico`. */
export function pricedToolName(type: string): string {
  return type === OLDER_SEARCH ? type : usageToolName(type);
}
