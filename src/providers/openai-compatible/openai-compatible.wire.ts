import { JsonBoundsError, parseAnswerJson, parseEventJson } from '@app/contracts';
import { isObject, type JsonObject } from '../translation/json-object.js';

/** JSON as a server sent it. */
export type WireObject = JsonObject;

export function asObject(value: unknown): WireObject | undefined {
  return isObject(value) ? value : undefined;
}

export function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `undefined` for an empty string, too: some servers write `""` for what they do not know. */
export function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function asUnixSeconds(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.floor(value) : undefined;
}

/** `undefined` when the text is not JSON. @throws JsonBoundsError */
export function parseAnswer(text: string): unknown {
  return jsonOrUndefined(parseAnswerJson, text);
}

/** The same for an event, which has a piece of an answer. */
export function parseEvent(text: string): unknown {
  return jsonOrUndefined(parseEventJson, text);
}

function jsonOrUndefined(parse: (text: string) => unknown, text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof JsonBoundsError) throw error;
    return undefined;
  }
}
