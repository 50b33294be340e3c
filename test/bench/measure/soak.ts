import type { Soak } from '../present/report.ts';
import { requestBody } from '../scenarios.ts';
import type { Subject } from '../subjects/subject.ts';
import type { Campaign } from './campaign.ts';
import { Inspector } from './inspector.ts';
import type { LoadDriver } from './load-driver.ts';
import { residentBytes } from './process-cost.ts';
import { settlingMinutes } from './settling.ts';
import { trend } from './statistics.ts';

const STEP_SECONDS = 5;
const WHOLE_PER_SECOND = 500;
const STREAMS_PER_SECOND = 100;
const MB = 1024 * 1024;
const SECONDS_PER_HOUR = 3600;

/** Steady load, whole answers and streams in turn; memory after each step, and its slope after settling in. */
export async function soak(
  gateway: Subject,
  campaign: Campaign,
  driver: LoadDriver,
  minutes: number,
): Promise<Soak> {
  const inspector = await Inspector.attach(gateway.pids[0]!, gateway.inspectorPort!);
  const resident: [number, number][] = [];
  const live: [number, number][] = [];
  const startedMs = performance.now();
  let requests = 0;
  for (let step = 0; performance.now() - startedMs < minutes * 60_000; step++) {
    const isStream = step % 2 === 1;
    const load = {
      arrivals: { perSecond: isStream ? STREAMS_PER_SECOND : WHOLE_PER_SECOND },
      seconds: STEP_SECONDS,
      warmSeconds: 0,
      spreadSeconds: 0,
      end: 'drained',
      isStream,
    } as const;
    const plan = campaign.plan(gateway, { load, body: requestBody({ isStream }), users: 1_000 });
    const { result } = await driver.run(plan, () => undefined);
    gateway.forgetLog();
    if (result.failures > 0) campaign.failures.push(`soak: ${result.failures}: ${result.firstFailure}`);
    requests += result.requests;
    const hours = (performance.now() - startedMs) / 1000 / SECONDS_PER_HOUR;
    live.push([hours, (await inspector.liveBytes()) / MB]);
    resident.push([hours, residentBytes(gateway.pids) / MB]);
  }
  inspector.close();
  const settling = settlingMinutes(minutes);
  const settled = live.findIndex(([hours]) => hours * 60 >= settling);
  return {
    minutes,
    settlingMinutes: settling,
    requests,
    residentMb: [resident[settled]![1], resident.at(-1)![1]],
    liveMb: [live[settled]![1], live.at(-1)![1]],
    residentMbPerHour: trend(resident.slice(settled)),
    liveMbPerHour: trend(live.slice(settled)),
  };
}
