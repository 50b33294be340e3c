import { createServer, type Server } from 'node:http';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  createDatabase,
  eventually,
  type Gateway,
  startGateway,
  startRedis,
  type TestDatabase,
  type TestRedis,
} from '@app/testing';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { Background, DEPLOYMENTS, requireProgram, runScript } from './programs.js';

interface Message {
  readonly text: string;
  readonly status: string;
  readonly previous: string;
  readonly reason: string;
}

/** A busy machine makes event loops late, which is nothing these tests bring about. */
const OF_THE_MACHINE = /event_loop/;

/** What the webhook was told; it refuses while `open` is false. */
class Webhook {
  readonly #told: Message[] = [];
  open = true;
  readonly #server: Server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      if (this.open) this.#told.push(JSON.parse(body) as Message);
      response.writeHead(this.open ? 200 : 500).end();
    });
  });

  get messages(): Message[] {
    return this.#told.filter((message) => !OF_THE_MACHINE.test(message.reason));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  close(): void {
    this.#server.close();
  }
}

const webhook = new Webhook();
let database: TestDatabase;
let redis: TestRedis;
let gateway: Gateway;
let monitor: Background;
let stateFile: string;

beforeAll(async () => {
  requireProgram('curl');
  database = await createDatabase();
  redis = await startRedis();
  gateway = await startGateway({
    env: { DATABASE_URL: database.url, REDIS_URL: redis.url, RATE_LIMIT_STORAGE: 'redis' },
  });
  const directory = await mkdtemp(join(inject('runDirectory'), 'monitor-'));
  stateFile = join(directory, 'state');
  monitor = new Background(join(DEPLOYMENTS, 'health-monitor.sh'), [
    '--url',
    gateway.url,
    '--name',
    'gateway "one"',
    '--webhook',
    await webhook.listen(),
    '--interval',
    '0.3',
    '--failures',
    '2',
    '--state-file',
    stateFile,
    '--restart-command',
    `echo restarted >> ${join(directory, 'restarts')}`,
  ]);
});

afterAll(async () => {
  await monitor?.stop('SIGKILL');
  webhook.close();
  await gateway?.stop();
  await redis?.stop();
  await database?.drop();
});

const once = () => runScript('health-monitor.sh', ['--once', '--url', gateway.url]);

async function told(status: string, previous: string): Promise<Message> {
  return eventually(
    `the webhook hears ${previous} -> ${status}`,
    () => webhook.messages.find((message) => message.status === status && message.previous === previous),
    60_000,
  );
}

it('has nothing to tell of a gateway that is well', async () => {
  const well = await eventually(
    'it is well',
    async () => {
      const outcome = await once();
      return outcome.code === 0 && outcome;
    },
    60_000,
  );
  expect(well.stdout).toBe('healthy: all components are up\n');
  const before = webhook.messages.filter(({ status }) => status !== 'healthy').length;
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(webhook.messages.filter(({ status }) => status !== 'healthy')).toHaveLength(before);
});

it('tells of a component that is away, and of its return', async () => {
  await redis.kill();
  const degraded = await told('degraded', 'healthy');
  expect(degraded.reason).toMatch(/cache/);
  expect((await once()).code).toBe(1);
  await redis.restart();
  expect((await told('healthy', 'degraded')).text).toContain('gateway "one" is healthy');
});

it('tells of a gateway that is gone, restarts it once, and tells of its return', async () => {
  await gateway.kill('SIGKILL');
  expect((await told('down', 'healthy')).reason).toBe('no answer to /health');
  expect((await once()).code).toBe(2);
  const restarts = await eventually('the restart command runs', () =>
    readFile(join(stateFile, '..', 'restarts'), 'utf8'),
  );
  expect(restarts).toBe('restarted\n');
  await gateway.start();
  // Not `told('healthy', 'down')`: on a busy machine the late event loop of the start comes between.
  await eventually('well again', () => webhook.messages.at(-1)?.status === 'healthy', 60_000);
});

it('restarts a gateway that is gone also when nobody can be told', async () => {
  const restarts = () => readFile(join(stateFile, '..', 'restarts'), 'utf8');
  const before = await restarts();
  webhook.open = false;
  await gateway.kill('SIGKILL');
  await eventually('the restart command runs', async () => (await restarts()) !== before, 30_000);
  await eventually('it is told in vain again', () => monitor.output.split('is down (was').length > 3, 30_000);
  expect(await restarts()).toBe(`${before}restarted\n`);
  webhook.open = true;
  const heard = webhook.messages.length;
  await eventually('it is told', () => webhook.messages.length > heard, 30_000);
  await gateway.start();
  await eventually('well again', () => webhook.messages.at(-1)?.status === 'healthy', 60_000);
});

it('restarts no gateway that only waits for its database, and the same one when it is gone as well', async () => {
  const waiting = createServer((request, response) =>
    response.writeHead(request.url === '/health' ? 200 : 503).end('{"status":"x"}'),
  );
  await new Promise<void>((resolve) => waiting.listen(0, '127.0.0.1', resolve));
  const restarts = join(await mkdtemp(join(inject('runDirectory'), 'monitor-')), 'restarts');
  await using other = new Background(join(DEPLOYMENTS, 'health-monitor.sh'), [
    '--url',
    `http://127.0.0.1:${(waiting.address() as AddressInfo).port}`,
    '--interval',
    '0.2',
    '--failures',
    '2',
    '--restart-command',
    `echo restarted >> '${restarts}'`,
  ]);
  await eventually('it is down', () => other.output.includes('/ready answers 503'), 30_000);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(existsSync(restarts)).toBe(false);
  waiting.closeAllConnections();
  waiting.close();
  await eventually('it is restarted', () => existsSync(restarts), 30_000);
});

it('tells of a gateway that hangs', async () => {
  await gateway.kill('SIGSTOP');
  const before = webhook.messages.length;
  await eventually(
    'down again',
    () => webhook.messages.slice(before).some((message) => message.status === 'down'),
    60_000,
  );
  await gateway.kill('SIGCONT');
  await eventually('well again', () => webhook.messages.at(-1)?.status === 'healthy', 60_000);
});

it('tells later what the webhook did not take, and each change once', async () => {
  webhook.open = false;
  const before = webhook.messages.length;
  await redis.kill();
  await eventually(
    'the monitor sees it',
    () => monitor.output.includes('the webhook did not accept it'),
    40_000,
  );
  expect(webhook.messages).toHaveLength(before);
  webhook.open = true;
  await eventually('it is told now', () => webhook.messages.length > before, 40_000);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect(webhook.messages.slice(before).map((message) => message.status)).toEqual(['degraded']);
  expect(await readFile(stateFile, 'utf8')).toBe('degraded\n');
}, 90_000);

it('takes an instance that was declared dead for one that only a restart helps', async () => {
  const pages: Record<string, [number, string]> = {
    '/health': [200, '{"status":"healthy"}'],
    '/ready': [503, '{"status":"not ready"}'],
    '/health/detailed': [503, '{"components":{"billing_journal":{"details":{"fenced":true}}}}'],
  };
  const server = createServer((request, response) => {
    const [status, body] = pages[request.url ?? ''] ?? [404, ''];
    response.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { stdout } = await runScript('health-monitor.sh', ['--once', '--url', url]);
  expect(stdout).toContain('down: declared dead while it was frozen or cut off: only a restart helps');
  server.close();
});
