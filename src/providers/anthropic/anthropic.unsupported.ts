import { GatewayError } from '@app/contracts';

/** What a request asks for and Anthropic cannot honour: refused by name, or left out and noted, as the operator chose. */
export class UnsupportedParams {
  readonly #dropped = new Set<string>();

  constructor(private readonly drop: boolean) {}

  /**
   * Returns only when the parameter is to be left out.
   *
   * @param param  as in `messages[0].content[1]`
   * @param reason  ends the sentence "`param` …"
   * @throws GatewayError  `unsupported_parameter`
   */
  refuse(param: string, reason: string): void {
    if (!this.drop) throw unsupportedParameter(param, reason);
    this.#dropped.add(param);
  }

  get dropped(): readonly string[] {
    return [...this.#dropped];
  }
}

/** For what cannot be left out either. */
export function unsupportedParameter(param: string, reason: string): GatewayError {
  return new GatewayError('unsupported_parameter', `${param} ${reason}.`, { param });
}

/** The client's fault whatever the provider: never dropped. */
export function invalidBody(param: string, problem: string): GatewayError {
  return new GatewayError('invalid_body', `${param} ${problem}.`, { param });
}
