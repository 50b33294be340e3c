/** Where a command writes: results for pipes, everything said about them for people. */
export interface Output {
  out(line: string): void;
  err(line: string): void;
}

/** @returns the process's exit code */
export type Command = (args: readonly string[], output: Output) => Promise<number>;

/** A wrong use of the command line; its message is the help. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const terminal: Output = {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
};
