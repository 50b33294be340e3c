import type { Soak } from '../report/report.ts';
import { requestBody } from '../scenarios.ts';
import type { Subject } from '../subjects/subject.ts';
import type { Campaign } from './campaign.ts';
import { Inspector } from './inspector.ts';
import type { LoadDriver } from './load-driver.ts';
import { residentBytes } from './process-cost.ts';
import { slope } from './statistics.ts';

const STEP_SECONDS = 10;
const PER_SECOND = 200;
const MB = 1024 * 1024;
const SECONDS_PER_HOUR = 3600;

/** Steady load, whole answers and streams in turn; memory after each step, as a slope. The first fifth is settling in. */
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
      arrivals: { perSecond: PER_SECOND },
      seconds: STEP_SECONDS,
      rampSeconds: 0,
      end: 'drained',
      isStream,
      body: requestBody(isStream, 100, 0),
    } as const;
    const { result } = await driver.run(campaign.plan(gateway, load), () => undefined);
    gateway.forgetLog();
    requests += result.requests;
    const seconds = (performance.now() - startedMs) / 1000;
    live.push([seconds, (await inspector.liveBytes()) / MB]);
    resident.push([seconds, residentBytes(gateway.pids) / MB]);
  }
  inspector.close();
  const settled = Math.floor(live.length / 5);
  return {
    minutes,
    requests,
    residentMbPerHour: slope(resident.slice(settled)) * SECONDS_PER_HOUR,
    liveMbPerHour: slope(live.slice(settled)) * SECONDS_PER_HOUR,
  };
}
