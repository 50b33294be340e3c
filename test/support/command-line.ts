import { parseArgs, type ParseArgsConfig } from 'node:util';

/**
 * What stands behind a command. `--help`, and whatever the command does not know, ends the process with its usage.
 *
 * @param usage  a line or several
 */
export function readCommandLine<Config extends ParseArgsConfig>(
  usage: string,
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  if (process.argv.includes('--help')) {
    console.log(usage);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    process.exit(1);
  }
}
