import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface RuntimePackage {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
}

interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
}

export interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
}

export const ROOT = new URL('../../', import.meta.url);

/**
 * Read where neither the lockfile nor the package's own manifest says it in the usual form. Each was looked up in the text
 * that the package carries.
 */
const READ_BY_HAND: Readonly<Record<string, string>> = {
  busboy: 'MIT',
  'passport-strategy': 'MIT',
  pause: 'MIT',
  streamsearch: 'MIT',
};

export function manifest(): Manifest {
  return readJson('package.json') as Manifest;
}

/** Every package of the lockfile, by its place in node_modules. */
export function lockedPackages(): [place: string, locked: LockedPackage][] {
  const { packages } = readJson('package-lock.json') as { packages: Record<string, LockedPackage> };
  return Object.entries(packages).filter(([place]) => place !== '');
}

/** What runs in production, on whatever platform: everything in the lockfile that is not for development only. */
export function runtimePackages(): RuntimePackage[] {
  return lockedPackages()
    .filter(([, locked]) => locked.dev !== true)
    .map(([place, { version = '', license }]) => {
      const name = place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
      return { name, version, licence: license ?? READ_BY_HAND[name] ?? 'unknown' };
    });
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(fileURLToPath(new URL(file, ROOT)), 'utf8'));
}
