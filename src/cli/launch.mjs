// Starts the built CLI, or says what is missing. Plain JavaScript, so that it runs on a fresh clone, on any Node.
import { existsSync } from 'node:fs';

const program = new URL('../../dist/src/cli.js', import.meta.url);

if (existsSync(program)) {
  await import(program.href);
} else {
  process.stderr.write(
    'The gateway is not built yet: run `npm run quickstart`, or `npm ci && npm run build`.\n',
  );
  process.exitCode = 1;
}
