import { FILLING_MINUTES } from '../measure/settling.ts';
import type { Summary, Trend } from '../measure/statistics.ts';
import { type Metric, METRIC_TITLES, type Report, type Row, type Target } from './report.ts';
import { verdict } from './targets.ts';
import { warningsOf } from './warnings.ts';
import { WHAT_LIMITS } from './what-limits.ts';

const LIMITS_OF_THE_FIGURES = [
  'Microseconds are this machine’s; the ratios carry over to one like it. Two runs of the same program differ by some per cent.',
  'CPU is that of the subject’s own processes. The gateway’s database works beside it: its column counts too when you size a machine.',
  'Portkey, nginx and the raw proxy neither authenticate, limit, bill, log nor count anything here: they do less than the gateway does.',
  'An upstream that answers at once, on loopback, without TLS, over HTTP/1.1: the cost of a gateway, not the latency of a model. A real answer takes a thousand times as long.',
  'At 200 requests a second every process is woken for each request and finds its caches cold: a request costs several times what it costs at saturation, and ratios shrink.',
  'Answers of 1 kB and chunks of a word, four chunks to a packet where they come without a pause. Larger answers cost everybody more per byte, and ratios shrink.',
  'One process of each, limits in memory (but for `gateway-redis`): no cluster, no tools, images or retries.',
];

export function toMarkdown(report: Report): string {
  return `${[
    '# Benchmark',
    '',
    'Made by `npm run bench`; how it measures is said in [its README](../README.md). Medians of the rounds, quartiles in',
    'brackets; a ratio is taken within a round, where whatever happened on the machine happened to everybody.',
    '',
    ...warningLines(report),
    ...facts(report),
    '',
    '![CPU and latency beside the peers](report.svg)',
    '',
    '## Targets',
    '',
    ...targetTable(report.targets),
    '',
    'What limits them now:',
    '',
    ...WHAT_LIMITS.map((line) => `- ${line}`),
    '',
    'Where the gateway’s time goes: [profile.txt](profile.txt).',
    '',
    ...scenarioTables(report),
    ...bootLines(report),
    ...neighbourLines(report),
    ...soakLines(report),
    '## What the figures do not say',
    '',
    ...LIMITS_OF_THE_FIGURES.map((line) => `- ${line}`),
    '',
    ...notes(report),
  ].join('\n')}`;
}

function warningLines(report: Report): string[] {
  const warnings = warningsOf(report);
  if (warnings.length === 0) return [];
  return [
    '> **WARNING: do not trust these figures.**',
    ...warnings.flatMap((line) => ['>', `> - ${line}`]),
    '',
  ];
}

function facts(report: Report): string[] {
  const { machine, loadAverage, latenessMs } = report;
  const layout = machine.isPinned
    ? '; gateways on one core, load, upstream and databases on another'
    : '; nothing pinned';
  const late =
    latenessMs === undefined ? '' : `; the generator sent at most ${latenessMs.toFixed(2)} ms late (p99)`;
  return [
    `- ${report.startedAt}, commit ${report.commit}, Node ${report.node}, ${report.mode}, ${report.minutes.toFixed(0)} min`,
    `- ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb.toFixed(0)} GB, Linux ${machine.kernel}${layout}`,
    `- load average ${loadAverage.map((load) => load.toFixed(2)).join(' before, ')} after (ours included); other processes kept ${report.foreignCores.toFixed(2)} cores busy; priority: ${machine.priority}${late}`,
    `- the gateway: ${report.everythingOn}`,
    ...Object.entries(report.subjects).map(([name, title]) => `- \`${name}\`: ${title}`),
  ];
}

function targetTable(targets: readonly Target[]): string[] {
  return [
    '| figure | target | stretch | measured | |',
    '|---|---|---|---|---|',
    ...targets.map(
      (target) =>
        `| ${target.name} | <= ${target.limit} | ${target.stretch ?? ''} | ${spread(target.measured)} | ${verdict(target)} |`,
    ),
  ];
}

function scenarioTables({ rows, subjects }: Report): string[] {
  const names = [...new Set(rows.map(({ scenario }) => scenario))];
  return names.flatMap((name) => {
    const own = rows.filter(({ scenario }) => scenario === name);
    const metrics = [...new Set(own.map(({ metric }) => metric))];
    const leads = leadingMetrics(metrics);
    const rounds = Math.max(...own.map(({ value }) => value.rounds));
    return [
      `## ${own[0]!.title}`,
      '',
      `\`${name}\`, ${rounds} ${rounds === 1 ? 'round' : 'rounds'}`,
      '',
      `| | ${[...metrics.map((metric) => METRIC_TITLES[metric]), ...leads.map((lead) => `${METRIC_TITLES[lead].split(',')[0]} × raw`)].join(' | ')} |`,
      `|---|${'---|'.repeat(metrics.length + leads.length)}`,
      ...Object.keys(subjects).flatMap((subject) => line(own, subject, metrics, leads)),
      '',
    ];
  });
}

/** Those whose ratio to the raw proxy is worth a column. */
function leadingMetrics(metrics: readonly Metric[]): Metric[] {
  const leads: Metric[] = ['cpu', 'addedP50', 'addedFirstChunkP50', 'liveKbPerStream'];
  const found = leads.filter((metric) => metrics.includes(metric));
  return found.length > 0 ? found : metrics.slice(0, 1);
}

function line(
  rows: readonly Row[],
  subject: string,
  metrics: readonly Metric[],
  leads: readonly Metric[],
): string[] {
  const own = rows.filter((row) => row.subject === subject);
  if (own.length === 0) return [];
  const find = (metric: Metric): Row | undefined => own.find((row) => row.metric === metric);
  const cells = metrics.map((metric) => spread(find(metric)?.value));
  const ratios = leads.map((lead) => (subject === 'raw' ? '1' : spread(find(lead)?.ratios['raw'])));
  return [`| ${[subject, ...cells, ...ratios].join(' | ')} |`];
}

function bootLines({ boots }: Report): string[] {
  if (boots.length === 0) return [];
  return [
    '## Startup',
    '',
    '| | seconds |',
    '|---|---|',
    ...boots.map(({ title, seconds }) => `| ${title} | ${spread(seconds)} |`),
    '',
  ];
}

function neighbourLines({ neighbourhoods, neighboursOnMemoryDisk }: Report): string[] {
  if (neighbourhoods.length === 0) return [];
  return [
    '## While others are slow',
    '',
    `The gateway with Langfuse (every request traced) and Sentry switched on, whole answers, 200 a second.${neighboursOnMemoryDisk ? ' Its database and journal lie on a memory disk: when the disk stalls, that is none of the others’ doing.' : ''}`,
    '',
    '| | added p50, ms | added p99, ms | p99 × all well |',
    '|---|---|---|---|',
    ...neighbourhoods.map(
      ({ condition, addedP50, addedP99, p99TimesWell }) =>
        `| ${condition} | ${spread(addedP50)} | ${spread(addedP99)} | ${spread(p99TimesWell)} |`,
    ),
    '',
  ];
}

function soakLines({ soak }: Report): string[] {
  if (!soak) return [];
  const { residentMb, liveMb, residentMbPerHour, liveMbPerHour } = soak;
  const row = (name: string, [from, to]: readonly [number, number], { slope, error }: Trend): string =>
    `| ${name} | ${short(from)} | ${short(to)} | ${signed(slope)} ± ${short(2 * error)} |`;
  const { minutes, settlingMinutes, requests } = soak;
  const isShort = minutes < 10;
  return [
    '## Soak',
    '',
    `${minutes} min of steady load, ${requests.toLocaleString('en')} requests and streams; the first ${Math.round(settlingMinutes * 10) / 10} min are settling in.${isShort ? ' Too short for a slope to mean much: `--soak 75` is the real one.' : ''}`,
    ...(isShort ? [] : whatFills(settlingMinutes)),
    '',
    '| | after settling in, MB | at the end, MB | MB an hour (± two standard errors) |',
    '|---|---|---|---|',
    row('RSS', residentMb, residentMbPerHour),
    row('live memory', liveMb, liveMbPerHour),
    '',
  ];
}

/** Found with heap snapshots of processes at 40, 120 and 450 requests a second. */
function whatFills(settlingMinutes: number): string[] {
  const isFull = settlingMinutes >= FILLING_MINUTES;
  return [
    '',
    `A process fills for its first ${FILLING_MINUTES} minutes, by the time and not by the requests. ${isFull ? 'These slopes begin after that.' : 'Some of that is in these slopes; those of `--soak 75` begin after it.'} The limits of an hour keep a count for each minute and user: with 1,000 users who ask in every minute 0.4 MB more at 17 min and 0.6 MB at 43 min, when V8 makes these arrays longer, and then no more. V8 goes on compiling what runs rarely, ever less: 1 MB in the first ten minutes, 0.5 MB in the next forty. The history of \`/health\` takes 60 kB an hour for eight hours. More than 1 MB an hour after that would be something else.`,
  ];
}

function notes({ skipped, failures }: Report): string[] {
  const lines = [
    ...skipped.map((what) => `- left out: ${what}`),
    ...failures.map((what) => `- failed: ${what}`),
  ];
  return lines.length > 0 ? ['## Notes', '', ...lines, ''] : [];
}

function signed(value: number): string {
  return `${value >= 0 ? '+' : '−'}${short(Math.abs(value))}`;
}

/** `2.10 (1.98–2.20)`; nothing for nothing. */
export function spread(summary: Summary | undefined): string {
  if (!summary) return '';
  const { median, q1, q3, rounds } = summary;
  return rounds === 1 ? short(median) : `${short(median)} (${short(q1)}–${short(q3)})`;
}

function short(value: number): string {
  if (!Number.isFinite(value)) return '?';
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en');
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
}
