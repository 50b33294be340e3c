import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { lockedPackages, manifest, ROOT, runtimePackages } from './runtime-packages.js';

const run = promisify(execFile);
const path = (file: string): string => fileURLToPath(new URL(file, ROOT));

/** May be used and passed on without opening our own source. */
const PERMISSIVE = new Set([
  'MIT',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  '0BSD',
  'BlueOak-1.0.0',
  'Python-2.0',
  'Unlicense',
]);

/** What was measured when this was written. It may fall; to let it rise is a decision. */
const MOST_RUNTIME_PACKAGES = 310;

describe('what runs in production', () => {
  it('has licences that let everybody use it', () => {
    const others = runtimePackages().filter(({ licence }) => !PERMISSIVE.has(licence));
    expect(others).toEqual([]);
  });

  it('does not grow unnoticed', () => {
    expect(runtimePackages().length).toBeLessThanOrEqual(MOST_RUNTIME_PACKAGES);
    expect(runtimePackages().length).toBeGreaterThan(200);
  });

  it('is in the bill of materials', async () => {
    const program = path('test/security/print-sbom.ts');
    const { stdout } = await run(process.execPath, [program], { maxBuffer: 64 * 2 ** 20 });
    const { bomFormat, components } = JSON.parse(stdout) as {
      bomFormat: string;
      components: { name: string; version: string }[];
    };
    expect(bomFormat).toBe('CycloneDX');
    const named = new Set(components.map(({ name, version }) => `${name}@${version}`));
    const missing = runtimePackages().filter(({ name, version }) => !named.has(`${name}@${version}`));
    expect(missing).toEqual([]);
  }, 60_000);
});

describe('what is installed', () => {
  it('is what the lockfile says, to the byte', () => {
    const unsealed = lockedPackages().filter(([, { integrity }]) => !integrity?.startsWith('sha512-'));
    expect(unsealed.map(([place]) => place)).toEqual([]);
  });

  it('has exact versions', () => {
    const { dependencies, devDependencies, optionalDependencies } = manifest();
    const versions = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies });
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  });

  it('comes from the lockfile in every script that installs', async () => {
    const files = [
      path('test/verify.mjs'),
      ...(await readdir(path('deployments'), { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile() && /\.(sh|mjs|yml|yaml)$|Dockerfile/.test(entry.name))
        .map((entry) => join(entry.parentPath, entry.name)),
    ];
    expect(files.length).toBeGreaterThan(10);
    for (const file of files) {
      expect(await readFile(file, 'utf8'), file).not.toMatch(
        /\bnpm['", [\]]+(install|i|add|update|exec)\b|^[^#]*\bnpx [@\w-]/m,
      );
    }
  });

  it('has the install scripts that are known, and every one of them is refused by name', () => {
    const withScripts = lockedPackages()
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([place]) => place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length));
    const { allowScripts } = manifest();
    // fsevents is for macOS and development; npm keeps it out of the list by itself.
    expect(Object.keys(allowScripts)).toEqual(
      expect.arrayContaining(withScripts.filter((name) => name !== 'fsevents')),
    );
    expect(Object.values(allowScripts)).not.toContain(true);
  });

  it('runs no install script: a package that has one is installed, and its script is not run', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'llm-gateway-scripts-'));
    try {
      const evil = await packEvil(folder);
      expect(await installs(folder, 'with-our-settings', evil, true)).toEqual({
        installed: true,
        scriptRan: false,
      });
      // The control: without them it would have run.
      expect(await installs(folder, 'without', evil, false)).toEqual({ installed: true, scriptRan: true });
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 60_000);
});

/** A package whose only content is a script that leaves a file behind when it is run. */
async function packEvil(folder: string): Promise<string> {
  const source = join(folder, 'evil');
  await mkdir(source);
  await writeFile(join(source, 'leave-mark.cjs'), "require('node:fs').writeFileSync(process.env.MARK, '');");
  const scripts = { postinstall: 'node leave-mark.cjs' };
  await writeFile(join(source, 'package.json'), JSON.stringify({ name: 'evil', version: '1.0.0', scripts }));
  await npm(source, ['pack', '--silent', '--ignore-scripts']);
  return join(source, 'evil-1.0.0.tgz');
}

async function installs(folder: string, name: string, evil: string, ourSettings: boolean) {
  const project = join(folder, name);
  const mark = join(folder, `${name}-ran`);
  await mkdir(project);
  if (ourSettings) await copyFile(path('.npmrc'), join(project, '.npmrc'));
  const dependencies = { evil: `file:${evil}` };
  await writeFile(
    join(project, 'package.json'),
    JSON.stringify({ name: 'victim', version: '1.0.0', dependencies }),
  );
  await npm(project, ['install', '--offline', '--no-audit', '--silent'], { MARK: mark });
  return { installed: existsSync(join(project, 'node_modules/evil')), scriptRan: existsSync(mark) };
}

async function npm(cwd: string, parameters: string[], more: Record<string, string> = {}): Promise<void> {
  // Not what npm told this process: settings come from the folder's own file.
  const inherited = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
  await run('npm', parameters, {
    cwd,
    env: { ...Object.fromEntries(inherited), npm_config_cache: join(cwd, '.npm-cache'), ...more },
    shell: process.platform === 'win32',
  });
}

describe('CONTRIBUTING', () => {
  it('says of every direct dependency what it is for, and of no other', async () => {
    const text = await readFile(path('.github/CONTRIBUTING.md'), 'utf8');
    const explained = [...text.matchAll(/^\| (`[^|]+) \| [^|]{4,} \|$/gm)].flatMap(([, names = '']) =>
      [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
    );
    const { dependencies, devDependencies, optionalDependencies } = manifest();
    const direct = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies });
    expect(explained.sort()).toEqual(direct.sort());
  });
});

describe('our own sources', () => {
  it('make no code out of text and start no programs but PostgreSQL and workers', async () => {
    const MAY_START_PROGRAMS = /^src\/(database\/embedded\/|cli\/launch\.mjs$)/;
    const faults: string[] = [];
    for (const folder of ['src', 'libs']) {
      for (const entry of await readdir(path(folder), { recursive: true, withFileTypes: true })) {
        const file = join(entry.parentPath, entry.name).slice(path('.').length).replaceAll('\\', '/');
        if (!entry.isFile() || !/\.(ts|mjs)$/.test(file) || /\.spec\.ts$|^libs\/testing\//.test(file))
          continue;
        const text = await readFile(path(file), 'utf8');
        if (/(?<![.\w])eval\(|new Function\(|['"](node:)?vm['"]/.test(text))
          faults.push(`${file}: makes code`);
        if (/['"](node:)?child_process['"]/.test(text) && !MAY_START_PROGRAMS.test(file)) {
          faults.push(`${file}: starts programs`);
        }
        if (/\bquery(<[^(]*>)?\(\s*`[^`]*\$\{(?!columns|COLUMNS)/.test(text))
          faults.push(`${file}: builds SQL`);
      }
    }
    expect(faults).toEqual([]);
  });
});
