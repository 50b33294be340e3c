import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually, freePort } from '@app/testing';
import { inject } from 'vitest';
import { parse, stringify } from 'yaml';
import { noteProcess } from '../../libs/testing/run-directory.js';
import { requireProgram } from '../deployment/programs.js';

export const MONITORING = fileURLToPath(new URL('../../deployments/monitoring/', import.meta.url));

/** The Debian package that both programs come from; other systems' is called the same. */
const PACKAGE = 'prometheus';

interface Configuration {
  global: Record<string, string>;
  rule_files: string[];
  scrape_configs: ScrapeConfiguration[];
}

interface ScrapeConfiguration {
  job_name: string;
  static_configs: { targets: string[]; labels: Record<string, string> }[];
  authorization?: { credentials_file: string };
}

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Rule {
  readonly type: 'alerting' | 'recording';
  readonly name: string;
  readonly health: string;
  readonly lastError?: string;
  readonly alerts?: readonly Alert[];
}

export interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

export interface Target {
  readonly labels: Readonly<Record<string, string>>;
  readonly health: string;
  readonly lastError: string;
}

/** @returns how `promtool` ended and all it said */
export function promtool(args: readonly string[], input?: string): { code: number | null; output: string } {
  const program = requireProgram('promtool', PACKAGE);
  const { status, stdout, stderr } = spawnSync(program, [...args], { input: input ?? '', encoding: 'utf8' });
  return { code: status, output: stdout + stderr };
}

export interface PrometheusOptions {
  /** `host:port` of the gateways. */
  readonly targets: readonly string[];
  readonly metricsToken: string;
}

/**
 * A real Prometheus with our own `prometheus.yml`: other targets, a scrape a second instead of one in fifteen, and the token
 * and the labels as that file's comments say. A second job asks the same targets without a token.
 */
export class PrometheusServer implements AsyncDisposable {
  #output = '';

  private constructor(
    private readonly child: ChildProcess,
    private readonly url: string,
  ) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
  }

  static async start(options: PrometheusOptions): Promise<PrometheusServer> {
    const program = requireProgram('prometheus', PACKAGE);
    const folder = await mkdtemp(join(inject('runDirectory'), 'prometheus-'));
    const file = join(folder, 'prometheus.yml');
    await writeFile(file, stringify(await configuration(folder, options)));
    const port = await freePort();
    const child = spawn(program, [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ]);
    await noteProcess(inject('runDirectory'), child);
    const server = new PrometheusServer(child, `http://127.0.0.1:${port}`);
    await eventually('Prometheus is ready', () => server.#isReady(), 20_000);
    return server;
  }

  /** An instant query of a vector or a scalar. */
  async query(expression: string): Promise<Series[]> {
    const { resultType, result } = await this.#api<{
      resultType: string;
      result: { metric: Record<string, string>; value: [number, string] }[];
    }>('query', { query: expression });
    if (resultType !== 'vector') throw new Error(`${expression} gives a ${resultType}`);
    return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  /** As Grafana's `label_values(selector, label)`. */
  labelValues(label: string, selector: string): Promise<string[]> {
    return this.#api(`label/${label}/values`, { 'match[]': selector });
  }

  async rules(): Promise<Rule[]> {
    const { groups } = await this.#api<{ groups: { rules: Rule[] }[] }>('rules');
    return groups.flatMap(({ rules }) => rules);
  }

  async alerts(name: string): Promise<readonly Alert[]> {
    return (await this.rules()).find((rule) => rule.name === name)?.alerts ?? [];
  }

  async targets(): Promise<Target[]> {
    return (await this.#api<{ activeTargets: Target[] }>('targets')).activeTargets;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }

  async #isReady(): Promise<boolean> {
    if (this.child.exitCode !== null) throw new Error(`Prometheus ended: ${this.#output}`);
    return (await fetch(`${this.url}/-/ready`)).ok;
  }

  async #api<Data>(path: string, parameters: Record<string, string> = {}): Promise<Data> {
    const response = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const answer = (await response.json()) as { status: string; error?: string; data: Data };
    if (answer.status !== 'success') throw new Error(`${Object.values(parameters).join()}: ${answer.error}`);
    return answer.data;
  }
}

async function configuration(folder: string, options: PrometheusOptions): Promise<Configuration> {
  const shipped = parse(await readFile(join(MONITORING, 'prometheus.yml'), 'utf8')) as Configuration;
  const [scrape, ...others] = shipped.scrape_configs;
  if (scrape === undefined || others.length > 0) throw new Error('one scrape configuration is expected');
  const tokenFile = join(folder, 'metrics-token');
  await writeFile(tokenFile, options.metricsToken);
  const static_configs = [
    { targets: [...options.targets], labels: { namespace: 'prod', service: 'llm-gateway' } },
  ];
  return {
    global: { ...shipped.global, scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: shipped.rule_files.map((name) => join(MONITORING, name)),
    scrape_configs: [
      { ...scrape, static_configs, authorization: { credentials_file: tokenFile } },
      { ...scrape, static_configs, job_name: 'without-token' },
    ],
  };
}
