import { readFileSync, statSync } from 'node:fs';
import type { RawEnvironment } from './environment.js';

/** Variables that hold a secret, besides the vendors' keys. Each may be given as a file. */
export const SECRET_VARIABLES: readonly string[] = [
  'JWT_SECRET_KEY',
  'DATABASE_URL',
  'REDIS_URL',
  'IDEMPOTENCY_ENCRYPTION_KEYS',
  'METRICS_TOKEN',
  'LANGFUSE_PUBLIC_KEY',
  'LANGFUSE_SECRET_KEY',
  'SENTRY_DSN',
];

const MOST_BYTES = 64 * 1024;

const fileVariable = (name: string): string => `${name}_FILE`;

/**
 * The variables, with the content of the file that `<name>_FILE` names for each of these names, as Docker and Kubernetes hand
 * secrets out. Faults, by name, tell the file, and show nothing of what is in it.
 */
export function withSecretFiles(
  environment: RawEnvironment,
  names: readonly string[],
): { readonly variables: RawEnvironment; readonly faults: ReadonlyMap<string, string> } {
  const variables = { ...environment };
  const faults = new Map<string, string>();
  for (const name of names) {
    const { value, fault } = secretOf(variables, name);
    if (fault !== undefined) faults.set(name, `${fileVariable(name)}: ${fault}`);
    else if (value !== undefined) variables[name] = value;
    delete variables[fileVariable(name)];
  }
  return { variables, faults };
}

/** One secret: the variable's own text, or the file's. `fault`: what is wrong with the file. */
export function secretOf(
  variables: RawEnvironment,
  name: string,
): { readonly value?: string | undefined; readonly fault?: string } {
  const ownText = Object.hasOwn(variables, name) ? variables[name] : undefined;
  const path = Object.hasOwn(variables, fileVariable(name))
    ? variables[fileVariable(name)]?.trim()
    : undefined;
  if (!path) return { value: ownText };
  if (ownText?.trim()) return { fault: `must not be set together with ${name}` };
  try {
    // A pipe would wait for its writer.
    const file = statSync(path);
    if (!file.isFile()) return { fault: `${path} is not a file` };
    if (file.size > MOST_BYTES) return { fault: `${path} is larger than ${MOST_BYTES} bytes` };
    const value = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    return value.trim() === '' ? { fault: `${path} is empty` } : { value };
  } catch (error) {
    return { fault: `${path} cannot be read (${(error as NodeJS.ErrnoException).code})` };
  }
}
