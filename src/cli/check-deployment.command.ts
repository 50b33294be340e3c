import { DeploymentCheck } from './deployment-check.js';
import { type Output, readOptions, UsageError } from './command.js';
import { tokenCommand } from './token.command.js';

/** Smoke-tests a running deployment end to end. Without `--token` it signs one with the secret of this environment. */
export async function checkDeploymentCommand(args: readonly string[], output: Output): Promise<number> {
  const options = readOptions(args, ['url', 'token', 'model', 'metrics-token']);
  if (options.url === undefined || !/^https?:\/\/\S+$/.test(options.url) || !URL.canParse(options.url)) {
    throw new UsageError('--url must be the address of a gateway');
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

async function ownToken(): Promise<string> {
  const lines: string[] = [];
  await tokenCommand(['--user', 'deployment-check', '--expires-in', '10'], {
    out: (line) => lines.push(line),
    err: () => undefined,
  });
  return lines.join('');
}
