import { parseArgs } from 'node:util';
import { DeploymentCheck } from './deployment-check.js';
import { type Output, UsageError } from './command.js';
import { tokenCommand } from './token.command.js';

const USAGE =
  'Usage: npm run check:deployment -- --url <base> [--token <token>] [--model <id>] [--metrics-token <token>]';

/** Smoke-tests a running deployment end to end. Without `--token` it signs one with the secret of this environment. */
export async function checkDeploymentCommand(args: readonly string[], output: Output): Promise<number> {
  const options = parse(args);
  if (options.url === undefined || !/^https?:\/\/\S+$/.test(options.url) || !URL.canParse(options.url)) {
    throw new UsageError(`--url must be the address of a gateway\n${USAGE}`);
  }
  const check = new DeploymentCheck(
    {
      url: options.url.replace(/\/+$/, ''),
      token: options.token ?? (await ownToken()),
      model: options.model,
      metricsToken: options['metrics-token'],
    },
    output,
  );
  const failures = await check.run();
  output.out(failures === 0 ? 'the deployment works' : `${failures} of the checks failed`);
  return failures === 0 ? 0 : 1;
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: { url: text, token: text, model: text, 'metrics-token': text },
    }).values;
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  }
}

async function ownToken(): Promise<string> {
  const lines: string[] = [];
  await tokenCommand(['--user', 'deployment-check', '--expires-in', '10'], {
    out: (line) => lines.push(line),
    err: () => undefined,
  });
  return lines.join('');
}
