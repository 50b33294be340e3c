import { GatewayError, type JsonBounds, JsonStructure } from '@app/contracts';

export const MAX_JSON_DEPTH = 64;
export const MAX_JSON_VALUES = 200_000;
/** Different names of fields. The tools of a hundred servers have some thousands of them. */
export const MAX_JSON_NAMES = 20_000;
export const REQUEST_BOUNDS: JsonBounds = {
  depth: MAX_JSON_DEPTH,
  values: MAX_JSON_VALUES,
  containers: MAX_JSON_VALUES,
  names: MAX_JSON_NAMES,
};

/** @returns `invalid_body` for text that would hold everybody up when it is parsed, or `undefined` */
export function structureFault(text: string): GatewayError | undefined {
  switch (new JsonStructure(REQUEST_BOUNDS).faultOf(text)) {
    case 'depth':
      return tooDeep();
    case 'values':
    case 'containers':
      return tooMany();
    case 'names':
      return new GatewayError('invalid_body', `The body has more than ${MAX_JSON_NAMES} different keys.`);
    case undefined:
      return undefined;
  }
}

export function tooDeep(): GatewayError {
  return new GatewayError('invalid_body', `The body is nested deeper than ${MAX_JSON_DEPTH} levels.`);
}

export function tooMany(): GatewayError {
  return new GatewayError('invalid_body', `The body has more than ${MAX_JSON_VALUES} values.`);
}
