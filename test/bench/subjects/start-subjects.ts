import { join } from 'node:path';
import { DIRECT } from '../measure/campaign.ts';
import { type SubjectName, SUBJECTS } from '../scenarios.ts';
import { startGateway } from './gateway.ts';
import { nginxVersion, startNginx } from './nginx.ts';
import { installPortkey, startPortkey } from './portkey.ts';
import { startRawProxy } from './raw.ts';
import { redisProgram, startRedis } from './redis.ts';
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
  /** The run's folder on a memory disk, if there is one. */
  readonly memoryFolder: string | undefined;
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
  'gateway-memory': {
    title: 'LLM Gateway with database and journal on a memory disk, to see what waiting for the disk costs',
    env: {},
  },
  'gateway-redis': {
    title: 'LLM Gateway with RATE_LIMIT_STORAGE=redis, to see what limits shared by several instances cost',
    env: { RATE_LIMIT_STORAGE: 'redis' },
  },
} as const;

export async function startSubjects(options: StartOptions): Promise<Started> {
  const subjects: Subject[] = [direct(options.upstreamPort)];
  const skipped: string[] = [];
  for (const name of SUBJECTS) {
    if (name === DIRECT || !options.wanted.has(name)) continue;
    const fault = whyNot(name, options);
    if (fault === undefined) subjects.push(await startSubject(name, options));
    else skipped.push(fault);
  }
  return { subjects, skipped };
}

/** Also for the second time, when the first has been stopped: it finds its data. */
export function startSubject(name: SubjectName, options: StartOptions): Promise<Subject> {
  const { folder, memoryFolder, portkeyFolder, upstreamPort } = options;
  switch (name) {
    case 'direct':
      return Promise.resolve(direct(upstreamPort));
    case 'raw':
      return startRawProxy(folder, upstreamPort);
    case 'nginx':
      return startNginx(folder, upstreamPort);
    case 'portkey':
      return startPortkey(portkeyFolder, folder, upstreamPort);
    case 'gateway-redis':
      return withRedis(options);
    default: {
      const { title, env } = GATEWAYS[name];
      const data: Record<string, string> =
        name === 'gateway-memory' && memoryFolder !== undefined ? { DATA_DIR: join(memoryFolder, name) } : {};
      const settings = { ...env, ...data, ...options.gatewayEnv };
      return startGateway({ name, title, folder, upstreamPort, env: settings });
    }
  }
}

/** Redis is started and stopped with it, and what it costs is told apart, as the database's work is. */
async function withRedis({ folder, upstreamPort, gatewayEnv }: StartOptions): Promise<Subject> {
  const name = 'gateway-redis';
  const { title, env } = GATEWAYS[name];
  const redis = await startRedis(folder);
  const settings = { ...env, REDIS_URL: redis.url, ...gatewayEnv };
  const gateway = await startGateway({ name, title, folder, upstreamPort, env: settings });
  return {
    ...gateway,
    get pids() {
      return gateway.pids;
    },
    get helperPids() {
      return [...gateway.helperPids, redis.child.pid];
    },
    async stop() {
      await gateway.stop();
      await redis.child.stop();
    },
  };
}

function whyNot(name: SubjectName, { memoryFolder, portkeyFolder }: StartOptions): string | undefined {
  if (name === 'gateway-memory' && memoryFolder === undefined) {
    return 'the gateway on a memory disk: /dev/shm is none, or has no room';
  }
  if (name === 'nginx' && nginxVersion() === undefined) return 'nginx, which is not installed';
  if (name === 'gateway-redis' && redisProgram() === undefined) {
    return 'the gateway with limits in Redis, which is not installed';
  }
  if (name !== 'portkey') return undefined;
  const fault = installPortkey(portkeyFolder);
  return fault === undefined ? undefined : `Portkey, which could not be installed: ${fault}`;
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
