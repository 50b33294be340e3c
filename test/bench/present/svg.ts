import type { Report, Row } from './report.ts';

const WIDTH = 760;
const LABEL = 120;
const BAR = 18;
const GAP = 6;
const COLOURS: Readonly<Record<string, string>> = {
  gateway: '#2563eb',
  'gateway-free': '#93c5fd',
  'gateway-silent': '#93c5fd',
  'gateway-memory': '#93c5fd',
  'gateway-redis': '#93c5fd',
  portkey: '#b45309',
  nginx: '#15803d',
};
const PANELS = [
  ['whole-64', 'cpu', 'CPU per request, whole answers, 64 in flight (× raw Node)'],
  ['stream-64', 'cpu', 'CPU per stream of 100 chunks without a pause (× raw Node)'],
  ['paced-64', 'cpu', 'CPU per chunk at 20 a second (× raw Node)'],
  ['rate-200', 'addedP50', 'Added median latency at 200 requests a second (× raw Node)'],
  [
    'stream-rate-200',
    'addedFirstChunkP50',
    'Added median time to the first chunk at 200 streams a second (× raw Node)',
  ],
  ['open', 'liveKbPerStream', 'Live memory of an open stream (× raw Node)'],
] as const;

/** Bars of the ratios to the raw proxy, with the quartiles as whiskers. */
export function toSvg(report: Report): string {
  let y = 10;
  const parts: string[] = [];
  for (const [scenario, metric, title] of PANELS) {
    const rows = report.rows.filter(
      (row) =>
        row.scenario === scenario && row.metric === metric && (row.ratios['raw'] || row.subject === 'raw'),
    );
    if (rows.length === 0) continue;
    parts.push(`<text x="8" y="${(y += 20)}" class="title">${title}</text>`);
    y += 8;
    parts.push(...bars(rows, y));
    y += rows.length * (BAR + GAP) + 10;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 10}" font-family="system-ui, sans-serif" font-size="12">
<style>text{fill:#334155}.title{font-weight:600}</style>
<rect width="100%" height="100%" fill="#fff"/>
${parts.join('\n')}
</svg>
`;
}

function bars(rows: readonly Row[], top: number): string[] {
  const most = Math.max(...rows.map(({ ratios }) => ratios['raw']?.q3 ?? 1));
  const scale = (WIDTH - LABEL - 90) / most;
  return rows.map(({ subject, ratios }, index) => {
    const { median, q1, q3 } = ratios['raw'] ?? { median: 1, q1: 1, q3: 1 };
    const y = top + index * (BAR + GAP);
    const middle = y + BAR / 2;
    const x = (ratio: number): string => (LABEL + Math.max(0, ratio) * scale).toFixed(1);
    return [
      `<text x="8" y="${y + 13}">${subject}</text>`,
      `<rect x="${LABEL}" y="${y}" width="${Math.max(1, median * scale).toFixed(1)}" height="${BAR}" fill="${COLOURS[subject] ?? '#94a3b8'}"/>`,
      `<line x1="${x(q1)}" y1="${middle}" x2="${x(q3)}" y2="${middle}" stroke="#0f172a"/>`,
      `<text x="${LABEL + Math.max(median, q3) * scale + 8}" y="${y + 13}">${median.toFixed(2)}</text>`,
    ].join('');
  });
}
