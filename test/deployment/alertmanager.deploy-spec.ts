import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, freePort } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { Background, DEPLOYMENTS, requireProgram, run } from './programs.js';

const SHIPPED = join(DEPLOYMENTS, 'monitoring/alertmanager/alertmanager.yml');
const PACKAGE = 'prometheus-alertmanager';

interface Configuration {
  route: { group_wait: string; routes: { group_wait?: string }[] };
  inhibit_rules: { source_matchers: string[]; target_matchers: string[] }[];
  receivers: { name: string; webhook_configs?: object[] }[];
}

interface Notification {
  receiver: string;
  alerts: { labels: Record<string, string>; annotations: Record<string, string> }[];
}

let folder = '';
let configuration: Configuration;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'alertmanager-'));
  configuration = parse(await readFile(SHIPPED, 'utf8')) as Configuration;
});
afterAll(() => rm(folder, { recursive: true }));

const amtool = (...args: string[]) => run(requireProgram('amtool', PACKAGE), args);

describe('the receivers of alerts', () => {
  it('are accepted by amtool, and tell nobody until somebody fills them in', async () => {
    expect(await amtool('check-config', SHIPPED)).toMatchObject({ code: 0 });
    expect(configuration.receivers.map((receiver) => Object.keys(receiver))).toEqual([
      ['name'],
      ['name'],
      ['name'],
    ]);
  });

  it('are accepted with the examples that stand beside them', async () => {
    const text = (await readFile(SHIPPED, 'utf8')).replace(/^receivers:[^]*/m, (receivers) =>
      receivers
        .replaceAll(/^ {4}# [A-Z].*\n/gm, '')
        .replaceAll(/^ {4}# /gm, '    ')
        .replaceAll('/etc/alertmanager', folder),
    );
    for (const name of ['pagerduty-key', 'webhook-token', 'slack-url', 'smtp-password'])
      await writeFile(join(folder, name), 'https://example.com/x');
    await writeFile(join(folder, 'examples.yml'), text);
    const { receivers } = parse(text) as Configuration;
    expect(receivers.flatMap((receiver) => Object.keys(receiver))).toHaveLength(7);
    const { code, stderr } = await amtool('check-config', join(folder, 'examples.yml'));
    expect([code, stderr]).toEqual([0, '']);
  });

  it.each([
    ['critical', 'page'],
    ['warning', 'chat'],
    ['info', 'nobody'],
  ])('of what is %s: %s', async (severity, receiver) => {
    const { stdout } = await amtool(
      'config',
      'routes',
      'test',
      `--config.file=${SHIPPED}`,
      `severity=${severity}`,
    );
    expect(stdout.trim()).toBe(receiver);
  });

  it('are kept quiet about alerts that exist', async () => {
    const rules = await readFile(join(DEPLOYMENTS, 'monitoring/rules/alerts.yml'), 'utf8');
    const alerts = new Set([...rules.matchAll(/alert: (\w+)/g)].map((match) => match[1]));
    const named = configuration.inhibit_rules
      .flatMap((rule) => [...rule.source_matchers, ...rule.target_matchers])
      .flatMap((matcher) => matcher.match(/[A-Z]\w+/g) ?? []);
    expect(named.length).toBeGreaterThan(8);
    expect(named.filter((name) => !alerts.has(name))).toEqual([]);
  });
});

describe('Compose', () => {
  it("has a Prometheus that loads its rules and tells the Alertmanager, and that one's page on the loopback only", async () => {
    const compose = parse(await readFile(join(DEPLOYMENTS, 'docker-compose.prod.yml'), 'utf8'), {
      merge: true,
    }) as {
      configs: { prometheus: { content: string } };
      services: Record<string, { ports?: string[]; volumes?: string[] }>;
    };
    const content = compose.configs.prometheus.content.replace('/run/secrets/metrics_token', 'token');
    await mkdir(join(folder, 'rules'), { recursive: true });
    await writeFile(join(folder, 'token'), 'x');
    await writeFile(join(folder, 'prometheus.yml'), content);
    for (const name of ['recording.yml', 'alerts.yml'])
      await copyFile(join(DEPLOYMENTS, 'monitoring/rules', name), join(folder, 'rules', name));
    const checked = await run(requireProgram('promtool', 'prometheus'), [
      'check',
      'config',
      join(folder, 'prometheus.yml'),
    ]);
    expect(checked).toMatchObject({ code: 0 });
    expect(content).toContain("targets: ['alertmanager:9093']");
    expect(compose.services['alertmanager']?.ports).toEqual(['127.0.0.1:9093:9093']);
    expect(compose.services['alertmanager']?.volumes?.[0]).toContain('./monitoring/alertmanager}');
  });
});

describe('an Alertmanager with the shipped routes', () => {
  const received: Notification[] = [];
  let sink: Server;
  let alertmanager: Background;
  let url = '';

  beforeAll(async () => {
    sink = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        received.push(JSON.parse(body) as Notification);
        response.end();
      });
    });
    await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
    const { port: sinkPort } = sink.address() as AddressInfo;
    for (const receiver of configuration.receivers)
      if (receiver.name !== 'nobody')
        receiver.webhook_configs = [{ url: `http://127.0.0.1:${sinkPort}/${receiver.name}` }];
    for (const route of [configuration.route, ...configuration.route.routes]) route.group_wait = '1s';
    await writeFile(join(folder, 'alertmanager.yml'), stringify(configuration));
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    alertmanager = new Background(requireProgram('prometheus-alertmanager', PACKAGE), [
      `--config.file=${join(folder, 'alertmanager.yml')}`,
      `--storage.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--cluster.listen-address=',
    ]);
    await eventually('the Alertmanager is ready', async () => (await fetch(`${url}/-/ready`)).ok);
  });
  afterAll(async () => {
    await alertmanager.stop();
    sink.close();
  });

  it('tells the cause once, with its runbook, and neither what follows from it nor what is information', async () => {
    const alert = (alertname: string, severity: string, labels: object) => ({
      labels: { alertname, severity, job: 'llm-gateway', ...labels },
      annotations: { summary: alertname, runbook: `runbook.md#${alertname.toLowerCase()}` },
    });
    const answer = await fetch(`${url}/api/v2/alerts`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify([
        alert('ProviderKeyRefused', 'critical', { provider: 'openai', instance: 'a' }),
        alert('ProviderKeyRefused', 'critical', { provider: 'openai', instance: 'b' }),
        alert('ProviderFailing', 'warning', { provider: 'openai' }),
        alert('ProviderCircuitOpen', 'warning', { provider: 'openai', model: 'gpt-4' }),
        alert('ProviderFailing', 'warning', { provider: 'google' }),
        alert('UserBalanceLow', 'info', { user_id: 'alice' }),
      ]),
    });
    expect(answer.status).toBe(200);
    await eventually('both are told', () => received.length >= 2);
    // for what should not come
    await sleep(2_000);
    expect(received.map(({ receiver }) => receiver).toSorted()).toEqual(['chat', 'page']);
    const page = received.find(({ receiver }) => receiver === 'page');
    expect(page?.alerts.map(({ labels }) => labels['instance']).toSorted()).toEqual(['a', 'b']);
    expect(page?.alerts[0]?.annotations['runbook']).toBe('runbook.md#providerkeyrefused');
    const chat = received.find(({ receiver }) => receiver === 'chat');
    expect(chat?.alerts.map(({ labels }) => labels['provider'])).toEqual(['google']);
  });

  it('keeps nothing back in one release because of another, and tells of each by itself', async () => {
    received.length = 0;
    const alert = (alertname: string, severity: string, namespace: string) => ({
      labels: { alertname, severity, job: 'llm-gateway', service: 'gateway', provider: 'p', namespace },
    });
    await fetch(`${url}/api/v2/alerts`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify([
        alert('ProviderKeyRefused', 'critical', 'staging'),
        alert('ProviderFailing', 'warning', 'staging'),
        alert('ProviderFailing', 'warning', 'prod'),
        alert('ProviderFailing', 'warning', 'test'),
      ]),
    });
    await eventually('all are told', () => received.length >= 3);
    const told = received.map(({ receiver, alerts }) => [
      receiver,
      ...alerts.map(({ labels }) => labels['namespace']),
    ]);
    expect(told.toSorted()).toEqual([
      ['chat', 'prod'],
      ['chat', 'test'],
      ['page', 'staging'],
    ]);
  });
});
