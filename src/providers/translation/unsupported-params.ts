import { GatewayError } from '@app/contracts';

/** Parts of a request that the provider cannot honour: refused by name, or left out and reported, as the operator chose. */
export class UnsupportedParams {
  readonly #dropped = new Set<string>();

  /** @param reason  said where no other is given */
  constructor(
    private readonly drop: boolean,
    private readonly reason = 'is not supported',
  ) {}

  get dropped(): readonly string[] {
    return [...this.#dropped];
  }

  /**
   * Returns only when the parameter is to be left out.
   *
   * @param param  as in `messages[0].content[1]`
   * @param reason  ends the sentence "`param` …"
   * @throws GatewayError  `unsupported_parameter`
   */
  refuse(param: string, reason = this.reason): void {
    if (!this.drop) throw unsupportedParameter(param, reason);
    this.#dropped.add(param);
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
