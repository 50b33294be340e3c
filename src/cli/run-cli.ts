import { type Command, type Output, terminal, UsageError } from './command.js';

interface CommandEntry {
  /** Loaded when it is called: `token` must not wait for a database driver. */
  readonly load: () => Promise<Command>;
  readonly does: string;
  /** Absent: it takes none. */
  readonly options?: string;
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  token: {
    load: async () => (await import('./token.command.js')).tokenCommand,
    does: 'print a token',
    options: '--user <id> [--role admin] [--expires-in <minutes>] [--models a,b]',
  },
  'check:env': {
    load: async () => (await import('./check-env.command.js')).checkEnvCommand,
    does: 'validate the environment',
  },
  'check:db': {
    load: async () => (await import('./check-db.command.js')).checkDbCommand,
    does: 'connect to the database, list pending migrations',
  },
  'migration:run': {
    load: async () => (await import('./migration-run.command.js')).migrationRunCommand,
    does: 'apply pending migrations',
  },
  'audit:ledger': {
    load: async () => (await import('./audit-ledger.command.js')).auditLedgerCommand,
    does: 'prove that the books balance',
  },
  'check:deployment': {
    load: async () => (await import('./check-deployment.command.js')).checkDeploymentCommand,
    does: 'smoke-test a running gateway',
    options: '--url <base> [--token <token>] [--model <id>] [--metrics-token <token>]',
  },
};

const HELP = [
  'Usage: node dist/src/cli.js <command> [options]',
  '',
  ...Object.entries(COMMANDS).map(([name, { options, does }]) =>
    options === undefined
      ? `  ${name.padEnd(18)}${does}`
      : `  ${name.padEnd(18)}${does}\n${' '.repeat(20)}${options}`,
  ),
  '',
  'Each can also be run as `npm run <command>`, with its options after `--`.',
].join('\n');

/** Runs one command. @returns 0 = done, 1 = it found or met a fault, 2 = it was called wrongly */
export async function runCli(args: readonly string[], output: Output = terminal): Promise<number> {
  const [name = '', ...rest] = args;
  if (name === 'help' || name === '--help' || name === '-h') {
    output.out(HELP);
    return 0;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!entry) {
    if (name !== '') output.err(`There is no command "${name}".`);
    output.err(HELP);
    return 2;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    output.out(`${usage(name, entry)}\n\n  ${entry.does}`);
    return 0;
  }
  try {
    // Before it does anything: `migration:run --dry-run` must not migrate.
    if (entry.options === undefined && rest.length > 0) throw new UsageError(`${name} takes no options`);
    const command = await entry.load();
    return await command(rest, output);
  } catch (error) {
    for (const line of explain(error)) output.err(line);
    if (!(error instanceof UsageError)) return 1;
    output.err(usage(name, entry));
    return 2;
  }
}

/** As npm's users call it; `--silent`, because a token must be all that is printed. */
function usage(name: string, { options }: CommandEntry): string {
  const call = `npm run ${name === 'token' ? '--silent ' : ''}${name}`;
  return `Usage: ${call}${options === undefined ? '' : ` -- ${options}`}`;
}

function explain(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [String(error)];
  if ('faults' in error && Array.isArray(error.faults)) return error.faults.map(String);
  return [error.message || error.name];
}
