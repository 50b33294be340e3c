const LEAST = [24, 15] as const;

/** What is wrong with the runtime; `undefined` when it will do. `version` as in `process.versions.node`. */
export function nodeVersionFault(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > LEAST[0] || (major === LEAST[0] && minor >= LEAST[1])) return undefined;
  return (
    `LLM Gateway requires Node.js ${LEAST.join('.')} or newer; this is ${version}. ` +
    'Start it through npm (`npm start`): `npm ci` installs the right runtime.'
  );
}

/** Ends the process with a clear line instead of a syntax error somewhere in a dependency. */
export function requireNodeVersion(): void {
  const fault = nodeVersionFault(process.versions.node);
  if (fault === undefined) return;
  process.stderr.write(`${fault}\n`);
  process.exit(1);
}
