import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import type { RawEnvironment } from './environment.js';

/** `.env` of the working directory under the process's own variables: what `@nestjs/config` gives the server, for the CLI too. */
export function currentEnvironment(): RawEnvironment {
  return { ...readEnvironmentFile(), ...process.env };
}

/** The variables of `.env`; none when there is no such file. */
function readEnvironmentFile(path: string = resolve('.env')): RawEnvironment {
  try {
    return parseEnvironmentFile(readFileSync(path));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw error;
  }
}

export function parseEnvironmentFile(content: Buffer): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(parseEnv(content.toString('utf8')))) {
    if (value !== undefined) variables[name] = value;
  }
  return variables;
}
