import { parseArgs } from 'node:util';

/** Where a command writes: results for pipes, everything said about them for people. */
export interface Output {
  out(line: string): void;
  err(line: string): void;
}

/** @returns the process's exit code */
export type Command = (args: readonly string[], output: Output) => Promise<number>;

/** A wrong use of the command line; its message says what is wrong, the usage is added to it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * The values of options that each take one text.
 * @throws UsageError  for anything else on the command line
 */
export function readOptions<Name extends string>(
  args: readonly string[],
  names: readonly Name[],
): Partial<Record<Name, string>> {
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' } as const]));
  try {
    return parseArgs({ args: [...args], options }).values as Partial<Record<Name, string>>;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

export const terminal: Output = {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
};
