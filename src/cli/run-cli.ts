import { type Command, type Output, terminal, UsageError } from './command.js';

/** Each is loaded when it is called: `token` must not wait for a database driver. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  token: async () => (await import('./token.command.js')).tokenCommand,
  'check:env': async () => (await import('./check-env.command.js')).checkEnvCommand,
  'check:db': async () => (await import('./check-db.command.js')).checkDbCommand,
  'migration:run': async () => (await import('./migration-run.command.js')).migrationRunCommand,
  'audit:ledger': async () => (await import('./audit-ledger.command.js')).auditLedgerCommand,
  'check:deployment': async () => (await import('./check-deployment.command.js')).checkDeploymentCommand,
};

const HELP = `Usage: node dist/src/cli.js <command> [options]

  token --user <id> [--role admin] [--expires-in <minutes>] [--models a,b]   print a token
  check:env                                                                  validate the environment
  check:db                                                                   reach the database, list pending migrations
  migration:run                                                              apply pending migrations
  audit:ledger                                                               prove that the books balance
  check:deployment --url <base> [--token <token>]                            smoke-test a running gateway`;

/** Runs one command. @returns 0 = done, 1 = it found or met a fault, 2 = it was called wrongly */
export async function runCli(args: readonly string[], output: Output = terminal): Promise<number> {
  const [name = '', ...rest] = args;
  if (name === 'help' || name === '--help' || name === '-h') {
    output.out(HELP);
    return 0;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!load) {
    output.err(HELP);
    return 2;
  }
  try {
    const command = await load();
    return await command(rest, output);
  } catch (error) {
    for (const line of explain(error)) output.err(line);
    return error instanceof UsageError ? 2 : 1;
  }
}

function explain(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [String(error)];
  if ('faults' in error && Array.isArray(error.faults)) return error.faults.map(String);
  return [error.message || error.name];
}
