import { describe, expect, it } from 'vitest';
import { describeTarget, readConnectionTarget } from './connection-target.js';

const remote = 'postgres://gateway.abc:p%40ss@db.example.com:6543/postgres';

describe('readConnectionTarget', () => {
  it.each([
    ['', { rejectUnauthorized: false }, true],
    ['?sslmode=disable', undefined, false],
    ['?sslmode=prefer', { rejectUnauthorized: false }, true],
    ['?sslmode=require', { rejectUnauthorized: false }, false],
    ['?sslmode=no-verify', { rejectUnauthorized: false }, false],
    ['?sslmode=verify-full', { rejectUnauthorized: true }, false],
  ])('reads sslmode as libpq does: %s', (query, tls, tlsOptional) => {
    expect(readConnectionTarget(remote + query)).toEqual({ url: remote, tls, tlsOptional });
  });

  it('verifies the chain but not the name for verify-ca', () => {
    const { tls } = readConnectionTarget(`${remote}?sslmode=verify-ca`);
    expect(tls?.rejectUnauthorized).toBe(true);
    expect(tls?.checkServerIdentity?.('another.host', {} as never)).toBeUndefined();
  });

  it.each(['localhost', '127.0.0.1', '[::1]'])('takes no TLS to this machine unless asked: %s', (host) => {
    expect(readConnectionTarget(`postgres://u:p@${host}/db`).tls).toBeUndefined();
    expect(readConnectionTarget(`postgres://u:p@${host}/db?sslmode=require`).tls).toBeDefined();
  });

  it('leaves other parameters in the string', () => {
    expect(readConnectionTarget(`${remote}?sslmode=disable&options=reference%3Dabc`).url).toContain(
      'options=',
    );
  });

  it.each([
    ['not a url', 'DATABASE_URL: is not a URL'],
    ['postgres://u:p%40ss@h1:5432,h2:5432/db?target_session_attrs=read-write', 'several hosts'],
    ['postgres://h1,h2/db', 'several hosts'],
    ['postgres://u:p%40ss@/db?host=h1,h2', 'several hosts'],
    [`${remote}?sslmode=perhaps`, 'unknown sslmode "perhaps"'],
    [`${remote}?sslmode=require&sslrootcert=/no/such/file`, 'sslrootcert'],
  ])('says what is wrong, without the password: %s', (url, message) => {
    expect(() => readConnectionTarget(url)).toThrow(message);
    expect(() => readConnectionTarget(url)).not.toThrow('p%40ss');
  });
});

describe('describeTarget', () => {
  it.each([
    [remote, 'db.example.com:6543/postgres'],
    ['postgres://u:p@[2001:db8::1]/db', '[2001:db8::1]:5432/db'],
    ['postgres://u:p@/db?host=/run/postgresql', '/run/postgresql:5432/db'],
  ])('shows no user and no password: %s', (url, shown) => {
    expect(describeTarget(url)).toBe(shown);
  });
});
