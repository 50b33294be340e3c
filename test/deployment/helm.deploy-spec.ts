import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { DEPLOYMENTS, findProgram, run } from './programs.js';

const CHART = join(DEPLOYMENTS, 'helm/llm-gateway');
const RULES = ['recording.yml', 'alerts.yml'];
const SECRETS = ['--set', 'secrets.JWT_SECRET_KEY=x,secrets.DATABASE_URL=y'];
/** What the Prometheus operator brings into a cluster. */
const WITH_OPERATOR = ['ServiceMonitor', 'PrometheusRule'].flatMap((kind) => [
  '--api-versions',
  `monitoring.coreos.com/v1/${kind}`,
]);
const WITH_TOKEN = ['--set', 'secrets.METRICS_TOKEN=z'];

interface KubernetesObject {
  kind: string;
  metadata: { name: string; annotations?: object; labels?: object };
  spec: Record<string, unknown>;
}

type Objects = Map<string, KubernetesObject>;

/** For a cluster of the oldest version that the chart takes: helm alone guesses one. */
function template(release: string, ...options: string[]) {
  const path = findProgram('helm');
  if (path === undefined)
    throw new Error('This test needs helm on PATH: go install helm.sh/helm/v3/cmd/helm@latest');
  return run(path, ['template', release, CHART, ...SECRETS, '--kube-version', '1.30.0', ...options]);
}

async function render(options: readonly string[] = [], release = 'llm-gateway'): Promise<Objects> {
  const { stdout, stderr, code } = await template(release, ...options);
  expect([code, stderr]).toEqual([0, '']);
  return objectsIn(stdout);
}

function objectsIn(...texts: string[]): Objects {
  const objects = texts
    .flatMap((text) => parseAllDocuments(text))
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((object) => object !== null);
  return new Map(objects.map((object) => [`${object.kind}/${object.metadata.name}`, object]));
}

async function manifests(folder: string): Promise<Objects> {
  const names = (await readdir(join(DEPLOYMENTS, folder))).filter(
    (name) => name.endsWith('.yaml') && name !== 'kustomization.yaml',
  );
  return objectsIn(
    ...(await Promise.all(names.map((name) => readFile(join(DEPLOYMENTS, folder, name), 'utf8')))),
  );
}

function specOf(objects: Objects, name: string): Record<string, unknown> {
  const object = objects.get(name);
  if (!object) throw new Error(`There is no ${name}.`);
  return object.spec;
}

function endpointsOf(objects: Objects, name: string) {
  return specOf(objects, `ServiceMonitor/${name}`)['endpoints'] as {
    relabelings: object[];
    authorization?: object;
  }[];
}

interface AddOperation {
  op: 'add';
  path: string;
  value: unknown;
}

/** As kustomize does it with RFC 6902's `add`. */
function added(object: KubernetesObject | undefined, patch: string): KubernetesObject {
  const changed = structuredClone(object);
  for (const { op, path, value } of parse(patch) as AddOperation[]) {
    expect(op).toBe('add');
    const names = path.split('/').slice(1);
    const last = names.pop() ?? '';
    const parent = names.reduce<unknown>((tree, name) => Object(tree)[name], changed) as object;
    if (Array.isArray(parent) && last === '-') parent.push(value);
    else Reflect.set(parent, last, value);
  }
  return changed as KubernetesObject;
}

/** Of its own in each revision, and the secret is whoever installs it's. */
const OWN = /^(Job|Secret)\//;

describe('the chart', () => {
  it('renders what the manifests hold', async () => {
    const [chart, base, watched] = await Promise.all([
      render([...WITH_OPERATOR, ...WITH_TOKEN]),
      manifests('k8s'),
      manifests('kustomize/prometheus-operator'),
    ]);
    const plain = new Map([...base, ...watched]);
    const names = (objects: Objects) => [...objects.keys()].filter((name) => !OWN.test(name)).toSorted();
    expect(names(chart)).toEqual(names(plain));
    for (const name of names(chart)) expect(chart.get(name)).toEqual(plain.get(name));
    expect(specOf(chart, 'Job/llm-gateway-migrate-1')).toEqual(specOf(plain, 'Job/llm-gateway-migrate'));
  });

  it('renders the StatefulSet of the journal-volume component, too', async () => {
    const [chart, component] = await Promise.all([
      render(['--set', 'workload=StatefulSet']),
      manifests('kustomize/journal-volume'),
    ]);
    for (const [name, object] of component) expect(chart.get(name)).toEqual(object);
    expect(chart.has('Deployment/llm-gateway')).toBe(false);
    const autoscaler = specOf(chart, 'HorizontalPodAutoscaler/llm-gateway');
    expect(autoscaler['scaleTargetRef']).toMatchObject({ kind: 'StatefulSet' });
  });

  it.each([
    ['Deployment', 'k8s'],
    ['StatefulSet', 'kustomize/journal-volume'],
  ])('gives the %s the models that the gateway-config component gives it', async (kind, folder) => {
    const models = { aliases: { fast: 'gpt-4o-mini' } };
    const chart = await render([
      '--set',
      `workload=${kind}`,
      '--set-json',
      `gatewayConfig=${JSON.stringify(models)}`,
    ]);
    const wanted = chart.get(`${kind}/llm-gateway`);
    const template = Object(wanted?.spec['template']) as { metadata: { annotations?: object } };
    // The chart's sign that the models changed; kustomize has the hash in the name of the ConfigMap.
    expect(template.metadata.annotations).toHaveProperty('checksum/gateway-config');
    delete template.metadata.annotations;
    const [{ target, patch }] = (
      parse(await readFile(join(DEPLOYMENTS, 'kustomize/gateway-config/kustomization.yaml'), 'utf8')) as {
        patches: [{ target: { kind: string; name: string }; patch: string }];
      }
    ).patches;
    expect(kind).toMatch(new RegExp(`^(${target.kind})$`));
    expect(target.name).toBe('llm-gateway');
    expect(added((await manifests(folder)).get(`${kind}/llm-gateway`), patch)).toEqual(wanted);
    expect(chart.has('ConfigMap/llm-gateway-models')).toBe(true);
  });

  it('carries the alerts that Prometheus reads elsewhere, and so does the component', async () => {
    const read = (folder: string) =>
      Promise.all(RULES.map((name) => readFile(join(DEPLOYMENTS, folder, name), 'utf8')));
    const source = await read('monitoring/rules');
    expect(await read('helm/llm-gateway/rules')).toEqual(source);
    const groups = source.flatMap((text) => (parse(text) as { groups: object[] }).groups);
    const component = specOf(await manifests('kustomize/prometheus-operator'), 'PrometheusRule/llm-gateway');
    expect(component).toEqual({ groups });
  });

  it('asks for nothing that the cluster does not know, unless it is told to', async () => {
    const kinds = async (...options: string[]) =>
      [...(await render(options)).values()]
        .map(({ kind }) => kind)
        .filter((kind) => /^(ServiceMonitor|PrometheusRule)$/.test(kind))
        .toSorted();
    const set = (value: boolean) => [
      '--set',
      `serviceMonitor.enabled=${value},prometheusRule.enabled=${value}`,
    ];
    expect(await kinds()).toEqual([]);
    expect(await kinds(...WITH_OPERATOR)).toEqual(['PrometheusRule', 'ServiceMonitor']);
    expect(await kinds(...set(true))).toEqual(['PrometheusRule', 'ServiceMonitor']);
    expect(await kinds(...WITH_OPERATOR, ...set(false))).toEqual([]);
  });

  it('is watched under the name that the rules know, whatever the release is called', async () => {
    const rules = await readFile(join(DEPLOYMENTS, 'monitoring/rules/alerts.yml'), 'utf8');
    const jobs = new Set([...rules.matchAll(/\bjob="([^"]+)"/g)].map((match) => match[1]));
    expect([...jobs]).toEqual(['llm-gateway']);
    const objects = await render([...WITH_OPERATOR, '--set', 'serviceMonitor.labels.release=stack'], 'blue');
    const { metadata } = objects.get('ServiceMonitor/blue-llm-gateway') ?? {};
    expect(metadata?.labels).toMatchObject({ release: 'stack' });
    const [endpoint] = endpointsOf(objects, 'blue-llm-gateway');
    expect(endpoint?.relabelings).toEqual([{ targetLabel: 'job', replacement: 'llm-gateway' }]);
  });

  it('names the token of the metrics only where there is one: else the operator passes over the monitor', async () => {
    const authorization = async (...options: string[]) =>
      endpointsOf(await render([...WITH_OPERATOR, ...options]), 'llm-gateway')[0]?.authorization;
    expect(await authorization()).toBeUndefined();
    const credentials = { name: 'llm-gateway', key: 'METRICS_TOKEN' };
    expect(await authorization(...WITH_TOKEN)).toEqual({ type: 'Bearer', credentials });
    expect(await authorization('--set', 'existingSecret=mine')).toMatchObject({
      credentials: { ...credentials, name: 'mine' },
    });
  });

  it('lets callers in at the port that the gateway listens on', async () => {
    const objects = await render(['--set-string', 'environment.PORT=9000']);
    const [rule] = specOf(objects, 'NetworkPolicy/llm-gateway')['ingress'] as { ports: object[] }[];
    expect(rule?.ports).toEqual([{ protocol: 'TCP', port: 9000 }]);
    expect(JSON.stringify(objects.get('Deployment/llm-gateway'))).toContain('"containerPort":9000');
  });

  it.each(['values-dev.yaml', 'values-prod.yaml'])('renders with %s', async (name) => {
    const objects = await render(['--values', join(CHART, name)]);
    expect(objects.has('Deployment/llm-gateway')).toBe(true);
  });

  it('refuses a pod that would be killed before its streams have ended', async () => {
    const { stderr, code } = await template('x', '--set', 'preStopSeconds=60');
    expect(code).not.toBe(0);
    expect(stderr).toContain('terminationGracePeriodSeconds');
  });
});
