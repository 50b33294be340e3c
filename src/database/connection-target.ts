import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

/** Where the database is and how its connections are secured, read from a connection string. */
export interface ConnectionTarget {
  /** The connection string without the TLS parameters, which node-postgres reads otherwise than libpq does. */
  readonly url: string;
  /** `undefined` = no TLS. */
  readonly tls: ConnectionOptions | undefined;
  /** A server that refuses TLS is spoken to in plain text. */
  readonly tlsOptional: boolean;
}

/** libpq would try one after the other. */
const SEVERAL_HOSTS = /^\w+:\/\/([^/?#]*@)?[^/?#@]*,[^/?#@]*([/?#]|$)/;
const TLS_PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'ssl', 'uselibpqcompat'];

/**
 * Reads a connection string with libpq's meaning of `sslmode` (its table "SSL Mode Descriptions"):
 * `disable` none; `allow`, `prefer` TLS where the server has it; `require` TLS, unverified (verified when `sslrootcert` is
 * given); `verify-ca` the chain; `verify-full` chain and host name. Unset: `prefer`, but `disable` for this machine.
 *
 * @throws Error naming the parameter, never the string, which holds a password
 */
export function readConnectionTarget(connectionString: string): ConnectionTarget {
  const url = parseUrl(connectionString);
  const parameters = url.searchParams;
  const mode = parameters.get('sslmode') ?? (isThisMachine(url) ? 'disable' : 'prefer');
  const tls = readTls(mode, parameters);
  for (const name of TLS_PARAMETERS) parameters.delete(name);
  return { url: url.toString(), tls, tlsOptional: mode === 'prefer' || mode === 'allow' };
}

/** libpq lets the host be absent after `user:password@` when a parameter names a socket folder; a URL may not. */
function parseUrl(connectionString: string): URL {
  const url = URL.parse(connectionString.replace(/^(\w+:\/\/[^/?#]*@)(?=\/)/, '$1localhost'));
  if (SEVERAL_HOSTS.test(connectionString) || url?.searchParams.get('host')?.includes(','))
    throw new Error(
      'DATABASE_URL: names several hosts; give one that always leads to the primary (a name, a virtual address, a proxy)',
    );
  if (!url) throw new Error('DATABASE_URL: is not a URL (postgres://user:password@host:port/database)');
  return url;
}

function isThisMachine(url: URL): boolean {
  const host = url.searchParams.get('host') ?? url.hostname;
  return (
    host === '' || host.startsWith('/') || host === 'localhost' || host.startsWith('127.') || host === '[::1]'
  );
}

function readTls(mode: string, parameters: URLSearchParams): ConnectionOptions | undefined {
  const files = readCertificates(parameters);
  switch (mode) {
    case 'disable':
      return undefined;
    case 'allow':
    case 'prefer':
    case 'no-verify':
      return { ...files, rejectUnauthorized: false };
    case 'require':
      return files.ca ? chainOnly(files) : { ...files, rejectUnauthorized: false };
    case 'verify-ca':
      return chainOnly(files);
    case 'verify-full':
      return { ...files, rejectUnauthorized: true };
    default:
      throw new Error(`DATABASE_URL: unknown sslmode ${JSON.stringify(mode)}`);
  }
}

function chainOnly(files: ConnectionOptions): ConnectionOptions {
  return { ...files, rejectUnauthorized: true, checkServerIdentity: () => undefined };
}

function readCertificates(parameters: URLSearchParams): ConnectionOptions {
  const options: ConnectionOptions = {};
  const ca = readFile(parameters, 'sslrootcert');
  const cert = readFile(parameters, 'sslcert');
  const key = readFile(parameters, 'sslkey');
  if (ca) options.ca = ca;
  if (cert) options.cert = cert;
  if (key) options.key = key;
  return options;
}

/** `system` means the certificates that Node trusts anyway. */
function readFile(parameters: URLSearchParams, name: string): string | undefined {
  const path = parameters.get(name);
  if (!path || path === 'system') return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`DATABASE_URL: the file named by ${name} cannot be read`, { cause: error });
  }
}

/** Host and port for messages: nothing of user, password or parameters. */
export function describeTarget(connectionString: string): string {
  const url = parseUrl(connectionString);
  const host = url.searchParams.get('host') ?? url.hostname;
  const shown = isIP(host) === 6 ? `[${host}]` : host || 'localhost';
  return `${shown}:${url.port || '5432'}${url.pathname}`;
}
