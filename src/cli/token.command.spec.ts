import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import jwt from 'jsonwebtoken';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runCli } from './run-cli.js';

const SECRET = 'the-secret-of-these-tests-0123456789abcdef';

describe('token', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'token-command-'));
    vi.spyOn(process, 'cwd').mockReturnValue(folder);
    for (const name of Object.keys(process.env))
      if (/^(JWT_|SUPABASE_|ENVIRONMENT|DATA_DIR)/.test(name)) vi.stubEnv(name, undefined);
    vi.stubEnv('DATA_DIR', join(folder, 'data'));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true });
  });

  async function run(...args: string[]) {
    const lines = { out: [] as string[], err: [] as string[] };
    const code = await runCli(['token', ...args], {
      out: (line) => lines.out.push(line),
      err: (line) => lines.err.push(line),
    });
    return { code, ...lines };
  }
  const claimsOf = (token: string | undefined) =>
    jwt.verify(token ?? '', SECRET, { algorithms: ['HS256'] }) as jwt.JwtPayload;

  it('prints one token and nothing else', async () => {
    vi.stubEnv('JWT_SECRET_KEY', SECRET);
    const { code, out, err } = await run('--user', 'alice');
    expect({ code, err, lines: out.length }).toEqual({ code: 0, err: [], lines: 1 });
    const claims = claimsOf(out[0]);
    expect(claims).toMatchObject({ sub: 'alice', role: 'user' });
    expect(Object.keys(claims).toSorted()).toEqual(['exp', 'iat', 'jti', 'role', 'sub']);
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(3600);
  });

  it('takes role, lifetime and allow-list', async () => {
    vi.stubEnv('JWT_SECRET_KEY', SECRET);
    const { out } = await run(
      '--user',
      'root',
      '--role',
      'admin',
      '--expires-in',
      '5',
      '--models',
      'gpt-4, echo,',
    );
    const claims = claimsOf(out[0]);
    expect(claims).toMatchObject({ role: 'admin', models: ['gpt-4', 'echo'] });
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(300);
  });

  it('follows the environment: algorithm, lifetime, issuer, audience', async () => {
    vi.stubEnv('JWT_SECRET_KEY', SECRET);
    vi.stubEnv('JWT_ALGORITHM', 'HS512');
    vi.stubEnv('JWT_ACCESS_TOKEN_EXPIRE_MINUTES', '7');
    vi.stubEnv('JWT_ISSUER', 'me');
    vi.stubEnv('JWT_AUDIENCE', 'you');
    const { out } = await run('--user', 'alice');
    const claims = jwt.verify(out[0] ?? '', SECRET, {
      algorithms: ['HS512'],
      issuer: 'me',
      audience: 'you',
    }) as jwt.JwtPayload;
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(420);
  });

  it('reads .env, below the process’s own variables', async () => {
    writeFileSync(
      join(folder, '.env'),
      `JWT_SECRET_KEY="${SECRET}"\nJWT_ACCESS_TOKEN_EXPIRE_MINUTES=2\nPORT=not-a-port\n`,
    );
    const { out, err } = await run('--user', 'alice');
    expect(err).toEqual([]);
    expect(claimsOf(out[0])).toMatchObject({ sub: 'alice' });
    vi.stubEnv('JWT_SECRET_KEY', 'another-secret-0123456789-0123456789');
    expect(() => claimsOf('')).toThrow();
    const other = await run('--user', 'alice');
    expect(() => claimsOf(other.out[0])).toThrow('invalid signature');
  });

  it('signs with the kept secret when none is set, and makes one at first', async () => {
    const first = await run('--user', 'alice');
    const second = await run('--user', 'bob');
    const { readStoredSecret } = await import('../config/jwt-secret.js');
    const kept = readStoredSecret(join(folder, 'data')) ?? '';
    for (const { out, err } of [first, second]) {
      expect(err).toEqual([]);
      expect(jwt.verify(out[0] ?? '', kept)).toBeTruthy();
    }
  });

  it('signs nothing in production without a good secret', async () => {
    vi.stubEnv('ENVIRONMENT', 'production');
    expect(await run('--user', 'alice')).toMatchObject({
      code: 1,
      out: [],
      err: [expect.stringMatching(/^JWT_SECRET_KEY: is required/)],
    });
    vi.stubEnv('JWT_SECRET_KEY', 'short');
    expect(await run('--user', 'alice')).toMatchObject({
      code: 1,
      out: [],
      err: [expect.stringMatching(/^JWT_SECRET_KEY: is shorter/)],
    });
  });

  it('says that an identity provider makes the tokens', async () => {
    vi.stubEnv('JWT_JWKS_URL', 'https://idp.example/jwks');
    expect(await run('--user', 'alice')).toMatchObject({
      code: 1,
      out: [],
      err: [expect.stringMatching(/identity provider/)],
    });
  });

  it('says when no secret can be kept', async () => {
    writeFileSync(join(folder, 'file'), '');
    vi.stubEnv('DATA_DIR', join(folder, 'file', 'data'));
    expect(await run('--user', 'alice')).toMatchObject({
      code: 1,
      out: [],
      err: [expect.stringMatching(/DATA_DIR/)],
    });
  });

  it.each([
    [[]],
    [['--user', '']],
    [['--user', 'a b']],
    [['--user', 'x'.repeat(129)]],
    [['--user', 'a', '--role', 'root']],
    [['--user', 'a', '--expires-in', '0']],
    [['--user', 'a', '--expires-in', '-5']],
    [['--user', 'a', '--expires-in', 'soon']],
    [['--user', 'a', '--models', ',']],
    [['--user', 'a', '--unknown']],
    [['alice']],
  ])('refuses %j with its usage, on stderr only', async (args) => {
    vi.stubEnv('JWT_SECRET_KEY', SECRET);
    const { code, out, err } = await run(...args);
    expect({ code, out }).toEqual({ code: 2, out: [] });
    expect(err.join('\n')).toContain('Usage: npm run --silent token');
  });
});

describe('runCli', () => {
  it.each([[[]], [['no-such-command']], [['toString']], [['__proto__']]])(
    'shows its commands for %j',
    async (args) => {
      const err: string[] = [];
      expect(await runCli(args, { out: () => undefined, err: (line) => err.push(line) })).toBe(2);
      expect(err.join()).toContain('check:deployment');
    },
  );

  async function run(...args: string[]) {
    const lines = { out: [] as string[], err: [] as string[] };
    const code = await runCli(args, {
      out: (line) => lines.out.push(line),
      err: (line) => lines.err.push(line),
    });
    return { code, out: lines.out.join('\n'), err: lines.err.join('\n') };
  }

  it('names the command that there is not', async () => {
    expect((await run('migrate')).err).toContain('There is no command "migrate".');
  });

  it.each(['token', 'check:env', 'check:db', 'migration:run', 'audit:ledger', 'check:deployment'])(
    'shows how %s is called, and does not do it',
    async (name) => {
      for (const help of ['--help', '-h']) {
        expect(await run(name, help)).toMatchObject({
          code: 0,
          out: expect.stringMatching(new RegExp(`^Usage: npm run (--silent )?${name}`)),
          err: '',
        });
      }
    },
  );

  it.each(['check:env', 'check:db', 'migration:run', 'audit:ledger'])(
    'refuses an option of %s, which takes none, before anything is done',
    async (name) => {
      expect(await run(name, '--dry-run')).toEqual({
        code: 2,
        out: '',
        err: `${name} takes no options\nUsage: npm run ${name}`,
      });
    },
  );

  it.each(['check:db', 'migration:run', 'audit:ledger'])(
    '%s names the database that is away',
    async (name) => {
      vi.stubEnv('DATABASE_URL', 'postgres://gateway:secret@127.0.0.1:1/books');
      expect(await run(name)).toEqual({
        code: 1,
        out: '',
        err: expect.stringMatching(/^the database 127\.0\.0\.1:1\/books cannot be reached: .*ECONNREFUSED/),
      });
      vi.unstubAllEnvs();
    },
  );
});
