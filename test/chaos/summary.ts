import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gatewayKills, isClean } from './report.ts';
import type { Findings, RunResult } from './rig.ts';

/** One run as it lies in a folder of results. Of each list of findings only the first ones, and how many there were. */
export interface ResultFile {
  readonly command: string;
  /** Every finding is none or, in a control run, the loss was noticed. */
  readonly good: boolean;
  readonly at: string;
  readonly result: RunResult;
  readonly counts: Readonly<Record<keyof Findings, number>>;
}

const COLUMNS = [
  'seed',
  'minutes',
  'gateways killed',
  'at crash points',
  'frozen',
  'Postgres killed',
  'frozen',
  'acknowledged',
  'keys asked again',
] as const;
const SHOWN: readonly (keyof Findings)[] = [
  'lost',
  'doubled',
  'wrongAmount',
  'negative',
  'leakedHolds',
  'auditMismatches',
];

/** Sums the result files of a folder into tables of Markdown. @returns also whether all of them are as they should be */
export async function summarise(folder: string): Promise<{ text: string; good: boolean }> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  const files = await Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(folder, name), 'utf8')) as ResultFile),
  );
  const runs = files.filter(({ result }) => result.scenario.broken === undefined);
  const controls = files.filter(({ result }) => result.scenario.broken !== undefined);
  const text = [runTable(runs), controlTable(controls), commandsOf(files)].filter((part) => part !== '');
  return { text: text.join('\n\n'), good: files.length > 0 && files.every(({ good }) => good) };
}

function runTable(files: readonly ResultFile[]): string {
  if (files.length === 0) return '';
  const rows = files.map(({ result, counts }) => [...figures(result), ...findings(counts)]);
  const sums = rows.reduce((left, right) => left.map((value, index) => value + (right[index] ?? 0)));
  const header = [...COLUMNS, ...SHOWN, 'else'];
  return table(header, [
    ...rows.map((row) => row.map((value) => shown(value))),
    ['**sum**', ...sums.slice(1).map((value) => `**${shown(value)}**`)],
  ]);
}

function figures(result: RunResult): number[] {
  const { tally } = result;
  return [
    result.seed,
    result.phases.faults / 60,
    gatewayKills(result),
    gatewayKills(result) - result.gatewayKills,
    result.gatewayFreezes,
    result.postgresKills,
    result.postgresFreezes,
    tally.acknowledged,
    tally.askedAgain,
  ];
}

function findings(counts: ResultFile['counts']): number[] {
  const others = (Object.keys(counts) as (keyof Findings)[]).filter((name) => !SHOWN.includes(name));
  return [...SHOWN.map((name) => counts[name]), others.reduce((sum, name) => sum + counts[name], 0)];
}

function controlTable(files: readonly ResultFile[]): string {
  if (files.length === 0) return '';
  const rows = files.map(({ result, counts, good }) => {
    const noticed = (Object.entries(counts) as [string, number][])
      .filter(([, count]) => count > 0)
      .map(([name, count]) => `${name} ${count}`);
    return [
      `\`${result.scenario.broken}\``,
      String(result.seed),
      String(result.tally.acknowledged),
      noticed.join(', ') || 'nothing',
      good ? 'yes' : '**no**',
    ];
  });
  return table(['taken away', 'seed', 'acknowledged', 'noticed as', 'caught'], rows);
}

function commandsOf(files: readonly ResultFile[]): string {
  return files.map(({ command }) => `- \`${command}\``).join('\n');
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, header.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function shown(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}

const KEPT_FINDINGS = 20;

export function toResultFile(command: string, good: boolean, result: RunResult): ResultFile {
  const lists = Object.entries(result.findings) as [keyof Findings, string[]][];
  return {
    command,
    good,
    at: new Date().toISOString(),
    counts: Object.fromEntries(lists.map(([name, list]) => [name, list.length])) as ResultFile['counts'],
    result: {
      ...result,
      findings: Object.fromEntries(
        lists.map(([name, list]) => [name, list.slice(0, KEPT_FINDINGS)]),
      ) as unknown as Findings,
    },
  };
}

/** A run without a finding is good; a control without one is not. */
export function isAsItShould(result: RunResult): boolean {
  return isClean(result.findings) === (result.scenario.broken === undefined);
}
