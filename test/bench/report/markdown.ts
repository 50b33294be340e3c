import type { Summary } from '../measure/statistics.ts';
import { type Metric, METRIC_TITLES, type Report, type Row, type Target } from './report.ts';

export function toMarkdown(report: Report): string {
  return `${[
    '# Benchmark',
    '',
    'Made by `npm run bench`. Medians of the rounds, quartiles in brackets; ratios are taken within a round, where',
    'whatever happened on the machine happened to everybody. Only the ratios carry over to another machine.',
    '',
    ...facts(report),
    '',
    '![CPU per request and per stream](report.svg)',
    '',
    '## Targets',
    '',
    ...targetTable(report.targets),
    '',
    ...(report.rows.length > 0 ? scenarioTables(report) : []),
    ...soakLines(report),
    ...notes(report),
  ].join('\n')}\n`;
}

function facts(report: Report): string[] {
  return [
    `- ${report.startedAt}, commit ${report.commit}, Node ${report.node}, ${report.mode} mode, ${report.rounds} rounds`,
    `- ${report.cpu}, ${report.cores} cores${report.pinned ? ' (one for the gateways, one for load, upstream and database)' : ''}, load average ${report.loadAverage.map((load) => load.toFixed(1)).join(' → ')}`,
    `- the gateway: ${report.everythingOn}`,
    ...Object.entries(report.subjects).map(([name, title]) => `- \`${name}\`: ${title}`),
  ];
}

function targetTable(targets: readonly Target[]): string[] {
  return [
    '| figure | target | stretch | measured | |',
    '|---|---|---|---|---|',
    ...targets.map(({ name, limit, stretch, measured }) => {
      const verdict = !measured ? 'not measured' : measured.median <= limit ? 'met' : 'missed';
      return `| ${name} | <= ${limit} | ${stretch ?? ''} | ${spread(measured)} | ${verdict} |`;
    }),
  ];
}

function scenarioTables({ rows, subjects }: Report): string[] {
  const names = [...new Set(rows.map(({ scenario }) => scenario))];
  return names.flatMap((name) => {
    const own = rows.filter(({ scenario }) => scenario === name);
    const metrics = [...new Set(own.map(({ metric }) => metric))];
    const lead = leadingMetric(metrics);
    return [
      `## ${own[0]!.title}`,
      '',
      `| | ${metrics.map((metric) => METRIC_TITLES[metric]).join(' | ')} | ${METRIC_TITLES[lead].split(',')[0]} × raw |`,
      `|---|${metrics.map(() => '---|').join('')}---|`,
      ...Object.keys(subjects).flatMap((subject) => line(own, subject, metrics, lead)),
      '',
    ];
  });
}

function leadingMetric(metrics: readonly Metric[]): Metric {
  const order: Metric[] = ['addedP50', 'addedFirstChunkP50', 'liveBytesPerStream', 'cpu'];
  return order.find((metric) => metrics.includes(metric)) ?? metrics[0]!;
}

function line(rows: readonly Row[], subject: string, metrics: readonly Metric[], lead: Metric): string[] {
  const own = rows.filter((row) => row.subject === subject);
  if (own.length === 0) return [];
  const cells = metrics.map((metric) => spread(own.find((row) => row.metric === metric)?.value));
  const ratio = subject === 'raw' ? '1' : spread(own.find((row) => row.metric === lead)?.ratios['raw']);
  return [`| ${subject} | ${cells.join(' | ')} | ${ratio} |`];
}

function soakLines({ soak }: Report): string[] {
  if (!soak) return [];
  return [
    '## Soak',
    '',
    `${soak.minutes} min, ${soak.requests.toLocaleString('en')} requests and streams: resident memory ${signed(soak.residentMbPerHour)} MB an hour, live memory ${signed(soak.liveMbPerHour)} MB an hour.`,
    '',
  ];
}

function notes({ skipped, failures }: Report): string[] {
  const lines = [
    ...skipped.map((what) => `- left out: ${what}`),
    ...failures.map((what) => `- failed: ${what}`),
  ];
  return lines.length > 0 ? ['## Notes', '', ...lines] : [];
}

function signed(value: number): string {
  return `${value >= 0 ? '+' : ''}${value.toFixed(1)}`;
}

export function spread(summary: Summary | undefined): string {
  if (!summary) return '';
  const { median, q1, q3 } = summary;
  return `${short(median)} (${short(q1)}–${short(q3)})`;
}

function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en');
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
}
