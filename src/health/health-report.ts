import { type CheckedComponent, overall } from './health-checks.service.js';

export interface ReportedComponent {
  readonly status: string;
  readonly latency_ms: number;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Components as the pages show them: members of a group under the group's name. */
export function reportComponents(checked: readonly CheckedComponent[]) {
  const components: Record<string, ReportedComponent | Record<string, ReportedComponent>> = {};
  const groups: Record<string, Record<string, ReportedComponent>> = {};
  for (const { probe, health } of checked) {
    const reported = {
      status: health.status,
      latency_ms: Math.round(health.latencyMs * 100) / 100,
      details: health.details,
    };
    if (probe.group === undefined) components[probe.name] = reported;
    else (groups[probe.group] ??= {})[probe.name] = reported;
  }
  return { ...components, ...groups };
}

export function detailedReport(checked: readonly CheckedComponent[], version: string, draining: boolean) {
  return {
    status: overall(checked),
    timestamp: new Date().toISOString(),
    version,
    uptime_seconds: Math.floor(process.uptime()),
    draining,
    components: reportComponents(checked),
  };
}
