import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LoadPlan } from '../load/load-plan.ts';
import type { Neighbourhood } from '../present/report.ts';
import { requestBody } from '../scenarios.ts';
import { freePort, startChild, TOOL_CORE, untilAnswers } from '../subjects/child.ts';
import { startGateway, writeGatewayFile } from '../subjects/gateway.ts';
import type { Subject } from '../subjects/subject.ts';
import type { Campaign } from './campaign.ts';
import { LoadDriver } from './load-driver.ts';
import { summarise } from './statistics.ts';

const PER_SECOND = 200;
const WARM_UP_REQUESTS = 6_000;
const SECONDS = 6;
const SLOW_IN_FLIGHT = 100;
const SLOW_MS = 2_000;
const CONDITIONS = ['all well', 'Langfuse and Sentry hang', 'another provider takes 2 s'] as const;
type Condition = (typeof CONDITIONS)[number];

/**
 * What does a request feel of the troubles of others? The gateway with Langfuse (every request traced) and Sentry on,
 * at a fixed rate: while both are well, while they take everything and answer nothing, and while 100 requests wait for
 * another provider all the time. What the disk does now and then is none of theirs.
 *
 * @param memoryFolder  where database and journal lie, if there is a memory disk
 */
export async function measureSlowNeighbours(
  folder: string,
  memoryFolder: string | undefined,
  upstream: Subject,
  campaign: Campaign,
  driver: LoadDriver,
  rounds: number,
): Promise<Neighbourhood[]> {
  const sinkPort = await freePort();
  const sink = startChild(
    process.execPath,
    [fileURLToPath(new URL('../subjects/sink.ts', import.meta.url)), String(sinkPort)],
    { name: 'sink', folder, core: TOOL_CORE },
  );
  await untilAnswers(`http://127.0.0.1:${sinkPort}/well`, 'the sink');
  const gateway = await startGateway({
    name: 'gateway-traced',
    title: 'LLM Gateway with Langfuse and Sentry',
    folder,
    upstreamPort: upstream.port,
    env: {
      ...(memoryFolder === undefined ? {} : { DATA_DIR: join(memoryFolder, 'gateway-traced') }),
      GATEWAY_CONFIG: writeGatewayFile(folder, upstream.port),
      LANGFUSE_ENABLED: 'true',
      LANGFUSE_PUBLIC_KEY: 'pk-bench',
      LANGFUSE_SECRET_KEY: 'sk-bench',
      LANGFUSE_HOST: `http://127.0.0.1:${sinkPort}`,
      SENTRY_DSN: `http://key@127.0.0.1:${sinkPort}/1`,
      SENTRY_TRACES_SAMPLE_RATE: '0.1',
    },
  });
  const background = await LoadDriver.start();
  const plan = (
    subject: Subject,
    arrivals: LoadPlan['arrivals'],
    seconds: number,
    waitMs: number,
  ): LoadPlan =>
    campaign.plan(subject, {
      load: {
        arrivals,
        seconds,
        warmSeconds: 0.4,
        spreadSeconds: waitMs / 1000,
        end: 'drained',
        isStream: false,
      },
      body: requestBody({ isStream: false, waitMs, ...(waitMs > 0 ? { model: 'other' } : {}) }),
      users: 1_000,
    });
  await driver.run(
    { ...plan(gateway, { inFlight: 64 }, 60, 0), maxRequests: WARM_UP_REQUESTS },
    () => undefined,
  );
  const added = new Map<Condition, { p50: number; p99: number }[]>(CONDITIONS.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < CONDITIONS.length; turn++) {
      const condition = CONDITIONS[(turn + round) % CONDITIONS.length]!;
      const direct = await driver.run(
        plan(upstream, { perSecond: PER_SECOND }, SECONDS / 2, 0),
        () => undefined,
      );
      const isHanging = condition === 'Langfuse and Sentry hang';
      await fetch(`http://127.0.0.1:${sinkPort}/${isHanging ? 'hang' : 'well'}`);
      const slow =
        condition === 'another provider takes 2 s'
          ? // A closed loop: two clocks of arrivals on one core would keep each other waiting.
            background.run(plan(gateway, { inFlight: SLOW_IN_FLIGHT }, SECONDS + 2, SLOW_MS), () => undefined)
          : undefined;
      // They must be waiting before it begins.
      if (slow) await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
      const { result } = await driver.run(
        plan(gateway, { perSecond: PER_SECOND }, SECONDS, 0),
        () => undefined,
      );
      const behind = await slow;
      for (const { failures, firstFailure } of behind ? [result, behind.result] : [result]) {
        if (failures > 0) campaign.failures.push(`${condition}: ${failures} failed: ${firstFailure}`);
      }
      added.get(condition)!.push({
        p50: result.latency.p50 - direct.result.latency.p50,
        p99: result.latency.p99 - direct.result.latency.p99,
      });
    }
  }
  background.stop();
  await gateway.stop();
  await sink.stop();
  const well = added.get('all well')!;
  return CONDITIONS.map((condition) => {
    const own = added.get(condition)!;
    return {
      condition,
      addedP50: summarise(own.map(({ p50 }) => p50))!,
      addedP99: summarise(own.map(({ p99 }) => p99))!,
      p99TimesWell: summarise(own.map(({ p99 }, round) => p99 / well[round]!.p99))!,
    };
  });
}
