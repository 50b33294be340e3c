/** Anthropic takes `[a-zA-Z0-9_-]` in tool-use ids; ids that other providers gave may have more. Same id in, same out. */
export function toToolUseId(id: string): string {
  return id.replace(/[^a-zA-Z0-9_-]/g, '_') || 'call';
}
