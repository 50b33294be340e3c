/** The configuration cannot be used. One line per fault, each `NAME: what is wrong` or `path: what is wrong`; never a value. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly faults: readonly string[];

  constructor(faults: readonly string[], options?: ErrorOptions) {
    super(
      `The configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${faults.join('\n')}`,
      options,
    );
    this.faults = faults;
  }
}
