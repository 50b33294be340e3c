/**
 * `npm run sbom`: the bill of materials (CycloneDX) of what runs in production, on stdout.
 *
 * By npm, but on a lockfile without the packages for development: of a package that both kinds need, such as
 * `@nestjs/common`, `npm sbom --omit=dev` says nothing.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from './runtime-packages.ts';

interface Lockfile {
  packages: Record<string, { dev?: boolean; devDependencies?: unknown }>;
}

const read = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(fileURLToPath(new URL(name, ROOT)), 'utf8')) as Record<string, unknown>;

const manifest = read('package.json');
const lockfile = read('package-lock.json') as unknown as Lockfile;
delete manifest['devDependencies'];
delete lockfile.packages['']?.devDependencies;
for (const [place, { dev }] of Object.entries(lockfile.packages)) if (dev) delete lockfile.packages[place];

const folder = mkdtempSync(join(tmpdir(), 'llm-gateway-sbom-'));
try {
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lockfile));
  const sbom = execFileSync('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
    shell: process.platform === 'win32',
  });
  process.stdout.write(sbom.replaceAll(`"${basename(folder)}"`, `"${String(manifest['name'])}"`));
} finally {
  rmSync(folder, { recursive: true });
}
