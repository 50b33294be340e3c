import { DIRECT } from '../measure/campaign.ts';
import type { SubjectName } from '../scenarios.ts';
import { startGateway } from './gateway.ts';
import { nginxVersion, startNginx } from './nginx.ts';
import { installPortkey, startPortkey } from './portkey.ts';
import { startRawProxy } from './raw.ts';
import type { Subject } from './subject.ts';

export interface Started {
  readonly subjects: readonly Subject[];
  /** Who could not be started, and why. */
  readonly skipped: readonly string[];
}

export interface StartOptions {
  readonly wanted: ReadonlySet<SubjectName>;
  /** Of this run: logs, databases, journals. */
  readonly folder: string;
  /** Kept from run to run: what was installed. */
  readonly portkeyFolder: string;
  readonly upstreamPort: number;
  readonly gatewayEnv: Readonly<Record<string, string>>;
}

const GATEWAYS = {
  gateway: { title: 'LLM Gateway, everything on', env: {} },
  'gateway-free': {
    title: 'LLM Gateway with BILLING_ENABLED=false, to see what billing costs',
    env: { BILLING_ENABLED: 'false' },
  },
  'gateway-silent': {
    title: 'LLM Gateway with PROMETHEUS_ENABLED=false and LOG_LEVEL=error, to see what being watched costs',
    env: { PROMETHEUS_ENABLED: 'false', LOG_LEVEL: 'error' },
  },
} as const;

export async function startSubjects(options: StartOptions): Promise<Started> {
  const { wanted, folder, upstreamPort } = options;
  const subjects: Subject[] = [direct(upstreamPort)];
  const skipped: string[] = [];
  if (wanted.has('raw')) subjects.push(await startRawProxy(folder, upstreamPort));
  if (wanted.has('nginx')) {
    if (nginxVersion() === undefined) skipped.push('nginx, which is not installed');
    else subjects.push(await startNginx(folder, upstreamPort));
  }
  for (const name of ['gateway', 'gateway-free', 'gateway-silent'] as const) {
    if (!wanted.has(name)) continue;
    const { title, env } = GATEWAYS[name];
    subjects.push(
      await startGateway({ name, title, folder, upstreamPort, env: { ...env, ...options.gatewayEnv } }),
    );
  }
  if (wanted.has('portkey')) {
    const fault = installPortkey(options.portkeyFolder);
    if (fault === undefined) subjects.push(await startPortkey(options.portkeyFolder, folder, upstreamPort));
    else skipped.push(`Portkey, which could not be installed: ${fault}`);
  }
  return { subjects, skipped };
}

/** The upstream itself costs nobody anything: it is only asked how long it takes. */
export function direct(port: number): Subject {
  return {
    name: DIRECT,
    title: 'the upstream itself',
    port,
    path: '/v1/chat/completions',
    headers: [],
    pids: [],
    helperPids: [],
    inspectorPort: undefined,
    forgetLog: () => undefined,
    stop: () => Promise.resolve(),
  };
}
