import { GatewayError } from '@app/contracts';

/** Request fields that Gemini cannot honour: refused by name, or left out and named when the operator wants that. */
export class UnsupportedParameters {
  readonly #dropped = new Set<string>();

  constructor(private readonly drop: boolean) {}

  get dropped(): readonly string[] {
    return [...this.#dropped];
  }

  /**
   * @param param  path of the field, e.g. `tools[1].type`
   * @throws GatewayError `unsupported_parameter`, unless such fields are dropped: then the caller leaves it out
   */
  refuse(param: string, reason = 'is not supported by Google Gemini'): void {
    if (!this.drop) throw new GatewayError('unsupported_parameter', `${param} ${reason}.`, { param });
    this.#dropped.add(param);
  }
}

/** A field that no provider could make sense of: not dropped, whatever the operator wants. */
export function invalid(param: string, problem: string): GatewayError {
  return new GatewayError('invalid_body', `${param} ${problem}.`, { param });
}
