import type { CpuProfile, ProfileNode } from './inspector.ts';

const ROWS = 50;
const ROWS_WITH_CALLEES = 70;

/** A CPU profile as text: where the time is spent, by function and by package, self time. */
export function topFunctions(profile: CpuProfile): string {
  const selfMicros = new Map<number, number>();
  for (const [index, id] of profile.samples.entries()) {
    selfMicros.set(id, (selfMicros.get(id) ?? 0) + (profile.timeDeltas[index] ?? 0));
  }
  const byFunction = new Map<string, number>();
  const byPackage = new Map<string, number>();
  let busy = 0;
  for (const { id, callFrame } of profile.nodes) {
    const micros = selfMicros.get(id) ?? 0;
    if (micros === 0 || callFrame.functionName === '(idle)') continue;
    busy += micros;
    const name = nameOf(callFrame);
    byFunction.set(name, (byFunction.get(name) ?? 0) + micros);
    const owner = packageOf(callFrame.url, callFrame.functionName);
    byPackage.set(owner, (byPackage.get(owner) ?? 0) + micros);
  }
  const withCallees = inclusiveMicros(profile, selfMicros);
  const rows = (entries: Map<string, number>, most: number): string =>
    [...entries]
      .sort(([, first], [, second]) => second - first)
      .slice(0, most)
      .map(([name, micros]) => `${((micros / busy) * 100).toFixed(1).padStart(5)} %  ${name}`)
      .join('\n');
  return `Self time, share of the busy time\n\nBy package\n${rows(byPackage, 40)}\n\nBy function\n${rows(byFunction, ROWS)}\n\nBy function, with what it calls\n${rows(withCallees, ROWS_WITH_CALLEES)}\n`;
}

/** Time of a function and all below it; a function that calls itself counts once. */
function inclusiveMicros(
  { nodes }: CpuProfile,
  selfMicros: ReadonlyMap<number, number>,
): Map<string, number> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const total = new Map<string, number>();
  const walk = (id: number, callers: readonly string[]): number => {
    const node = byId.get(id);
    if (!node || node.callFrame.functionName === '(idle)') return 0;
    const name = nameOf(node.callFrame);
    const below = [...callers, name];
    let micros = selfMicros.get(id) ?? 0;
    for (const child of node.children ?? []) micros += walk(child, below);
    if (!callers.includes(name)) total.set(name, (total.get(name) ?? 0) + micros);
    return micros;
  };
  walk(nodes[0]!.id, []);
  return total;
}

function nameOf({ functionName, url, lineNumber }: ProfileNode['callFrame']): string {
  return `${functionName || '(anonymous)'} ${shortPlace(url)}${url ? `:${lineNumber + 1}` : ''}`;
}

function shortPlace(url: string): string {
  return url.replace(/^.*\/node_modules\//, '').replace(/^.*\/dist\//, '');
}

function packageOf(url: string, functionName: string): string {
  if (url === '') return functionName.startsWith('(') ? functionName : 'native code';
  if (url.startsWith('node:')) return `node:${url.slice(5).split('/').slice(0, 2).join('/')}`;
  const inPackage = /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (inPackage) return inPackage;
  return shortPlace(url).split('/').slice(0, 3).join('/');
}
