import { chmod, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEPLOYMENTS, type Outcome, requireProgram, run } from './programs.js';

/** certbot as far as the script sees it: a certificate, and how it is to be renewed. Notes what it was told. */
const CERTBOT = `#!/bin/bash
set -eu
printf '%s\\n' "$*" >>"$TOLD"
args=" $* "
config=\${args##* --config-dir } config=\${config%% *}
name=\${args##* --cert-name } name=\${name%% *}
mkdir -p "$config/live/$name" "$config/renewal"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj "/CN=$name" \\
    -addext "subjectAltName=DNS:$name" -keyout "$config/live/$name/privkey.pem" -out "$config/live/$name/fullchain.pem" 2>/dev/null
cat >"$config/renewal/$name.conf" <<CONF
version = 2.1.0
archive_dir = $config/archive/$name
[renewalparams]
account = 0123456789abcdef
authenticator = standalone
server = https://acme-v02.api.letsencrypt.org/directory
key_type = ecdsa
CONF
`;

describe("ssl-setup.sh with Let's Encrypt", () => {
  let folder = '';

  beforeEach(async () => {
    requireProgram('openssl');
    folder = await realpath(await mkdtemp(join(tmpdir(), 'gateway-ssl-')));
    await mkdir(join(folder, 'bin'));
    await writeFile(join(folder, 'bin/certbot'), CERTBOT);
    await chmod(join(folder, 'bin/certbot'), 0o755);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** As the instructions say it: with folders that are named from where one stands. */
  function setUp(...options: string[]): Promise<Outcome> {
    const given = [
      '--domain',
      'api.example.org',
      '--email',
      'o@example.org',
      '--out',
      'tls',
      '--webroot',
      'acme',
    ];
    const own = ['--certbot-dir', 'letsencrypt', '--reload', 'true'];
    return run(join(DEPLOYMENTS, 'ssl-setup.sh'), [...given, ...own, ...options], {
      cwd: folder,
      env: {
        ...process.env,
        PATH: `${join(folder, 'bin')}:${process.env['PATH']}`,
        TOLD: join(folder, 'told'),
      },
    });
  }

  const content = (name: string) => readFile(join(folder, name), 'utf8');

  it('renews by way of the nginx that then runs, also what it got without one', async () => {
    expect(await setUp('--standalone', '--reload', 'false')).toMatchObject({ code: 0 });
    const renewal = (await content('letsencrypt/renewal/api.example.org.conf')).split('\n');
    expect(renewal.filter((line) => line.startsWith('authenticator'))).toEqual(['authenticator = webroot']);
    expect(renewal).toContain(`webroot_path = ${folder}/acme,`);
    expect(renewal.slice(-3)).toEqual(['[[webroot_map]]', `api.example.org = ${folder}/acme`, '']);
    expect(renewal).toContain('account = 0123456789abcdef');
  });

  it('brings a renewed certificate to nginx, wherever certbot is run', async () => {
    expect(await setUp('--standalone')).toMatchObject({ code: 0 });
    await writeFile(join(folder, 'letsencrypt/live/api.example.org/fullchain.pem'), 'renewed');
    const hook = join(folder, 'letsencrypt/renewal-hooks/deploy/llm-gateway');
    expect(await run(hook, [], { cwd: '/' })).toMatchObject({ code: 0, stderr: '' });
    expect(await content('tls/fullchain.pem')).toBe('renewed');
  });

  it('leaves a good certificate alone, unless it is told not to or lacks a name', async () => {
    for (const options of [[], [], ['--force'], ['--domain', 'www.example.org']])
      expect(await setUp(...options)).toMatchObject({ code: 0 });
    const [first, forced, more, ...others] = (await content('told')).trim().split('\n');
    expect(others).toEqual([]);
    expect(first).toContain('--keep-until-expiring');
    expect(forced).toContain('--force-renewal');
    expect(forced).not.toContain('--keep-until-expiring');
    expect(more).toContain('--renew-with-new-domains');
    expect(more).toContain('-d api.example.org -d www.example.org');
  });
});
