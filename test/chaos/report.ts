import type { Findings, RunResult } from './rig.ts';

const SHOWN = 8;

/** Kills of gateways, crash points among them. */
export function gatewayKills(result: RunResult): number {
  return result.gatewayKills + Object.values(result.crashes).reduce((sum, count) => sum + count, 0);
}

export function isClean(findings: Findings): boolean {
  return Object.values(findings).every((list: string[]) => list.length === 0);
}

/** The run in a few lines, for people. */
export function describe(result: RunResult): string {
  const { tally, holds, findings, scenario } = result;
  const crashed = Object.entries(result.crashes)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
  const lines = [
    `${scenario.name}${scenario.broken === undefined ? '' : ` without its guarantee (${scenario.broken})`}, seed ${result.seed}`,
    `  faults        gateways killed ${gatewayKills(result)} (at crash points: ${crashed || 'none'}), frozen ${result.gatewayFreezes}, stopped ${result.gatewayStops}`,
    `                postgres killed ${result.postgresKills}, frozen ${result.postgresFreezes}; redis killed ${result.redisKills}, frozen ${result.redisFreezes}`,
    `  traffic       ${tally.acknowledged} acknowledged (${tally.replays} replays) in ${tally.calls} calls, ${tally.operations} operations, ${tally.unanswered} unanswered`,
    `                402 empty ${tally.emptyAccounts}, 402 reserved ${tally.reserved}, 503 ${tally.unavailable}, 500 ${tally.internalErrors}; charged keys asked again ${tally.askedAgain}; top-ups and refunds ${tally.bookings}`,
    `  books         ${result.charges} charges, ${holds.released} released, ${holds.orphaned} swept, ${holds.on_credit} on credit, ${holds.leased} leased, ${holds.written_off} written off, shortfall ${holds.shortfall} nano of ${tally.short} (beside ${tally.shortBesideHeld} held, ${tally.shortBesideLeased} reserved ahead)`,
    `  time          ${result.seconds} s in all (${phases(result)}), serving again ${result.recoverySeconds.toFixed(1)} s after the last fault`,
    `  findings      ${counts(findings)}`,
  ];
  for (const [name, list] of Object.entries(findings) as [string, string[]][]) {
    for (const text of list.slice(0, SHOWN)) lines.push(`    ${name}: ${text}`);
  }
  return lines.join('\n');
}

function phases(result: RunResult): string {
  return Object.entries(result.phases)
    .map(([name, seconds]) => `${name} ${seconds}`)
    .join(', ');
}

function counts(findings: Findings): string {
  return (Object.entries(findings) as [string, string[]][])
    .map(([name, list]) => `${name} ${list.length}`)
    .join(', ');
}

/** BigInt has no form in JSON. */
export function toJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner),
    2,
  );
}
