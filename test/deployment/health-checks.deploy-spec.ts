import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DEPLOYMENTS, run } from './programs.js';

const read = (name: string) => readFile(join(DEPLOYMENTS, name), 'utf8');

async function compose(name: string) {
  return parse(await read(name), { merge: true }) as {
    services: Record<string, { healthcheck: { test: string[]; start_period: string } }>;
  };
}

/** `CMD` of a health check, as Docker is given it. */
async function command(name: string, service: string): Promise<string[]> {
  if (name === 'Dockerfile') {
    const [, list = '[]'] = /^HEALTHCHECK [^\n]*\\\n\s+CMD (\[.*\])$/m.exec(await read(name)) ?? [];
    return JSON.parse(list) as string[];
  }
  const { services } = await compose(name);
  return (services[service]?.healthcheck.test ?? []).slice(1).map((word) => word.replaceAll('$$', '$'));
}

describe.each([
  ['Dockerfile', '', '/health'],
  ['docker-compose.yml', 'gateway', '/ready'],
  ['docker-compose.prod.yml', 'gateway-2', '/ready'],
])('the health check of %s', (name, service, path) => {
  const asked: string[] = [];
  let status = 200;
  let server: Server;

  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(status).end('{}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterAll(() => server.close());

  const check = async (port = (server.address() as AddressInfo).port) => {
    const [program = '', ...args] = await command(name, service);
    return run(
      program,
      args.map((word) => word.replace(/(127\.0\.0\.1[:/])8000/, `$1${port}`)),
      {
        env: { PATH: process.env['PATH'], PORT: String(port) },
      },
    );
  };

  it('is good, bad, and bad without an answer', async () => {
    expect(await check()).toMatchObject({ code: 0 });
    status = 503;
    expect((await check()).code).not.toBe(0);
    expect(asked).toEqual([path, path]);
    expect((await check(1)).code).not.toBe(0);
  });

  it('starts no node: on a busy machine that alone takes longer than the check may', async () => {
    expect((await command(name, service))[0]).toBe('bash');
  });
});

it.each([
  ['docker-compose.yml', 'gateway'],
  ['docker-compose.prod.yml', 'gateway-2'],
])('in %s a slow start is not given up before `start.sh --wait 300` would', async (name, service) => {
  const { services } = await compose(name);
  expect(services[service]?.healthcheck.start_period).toBe('5m');
});
