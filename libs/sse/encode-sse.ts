/** One event with `data` only. `json` is JSON on one line, as `JSON.stringify` gives it. */
export function encodeSseData(json: string): string {
  return json.includes('\n') || json.includes('\r') ? encodeLines(json) : `data: ${json}\n\n`;
}

/** One event with a name and data. */
export function encodeSseEvent(event: string, json: string): string {
  return `event: ${event}\n${encodeSseData(json)}`;
}

/** A comment: keeps a connection alive, clients skip it. `text` has no line end. */
export function encodeSseComment(text: string): string {
  return `: ${text}\n\n`;
}

/** What ends a stream of OpenAI's dialect. */
export const SSE_DONE = 'data: [DONE]\n\n';

function encodeLines(text: string): string {
  const lines = text.split(/\r\n|\r|\n/);
  return `${lines.map((line) => `data: ${line}`).join('\n')}\n\n`;
}
