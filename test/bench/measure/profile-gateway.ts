import type { Scenario } from '../scenarios.ts';
import type { Subject } from '../subjects/subject.ts';
import type { Campaign } from './campaign.ts';
import { Inspector } from './inspector.ts';
import type { LoadDriver } from './load-driver.ts';
import { topFunctions } from './top-functions.ts';

const SECONDS = 5;
const PROFILED = new Set(['whole-64', 'stream-64', 'paced-64']);

/** Where the gateway's time goes, as text: after everything was measured, because profiling costs. */
export async function profileGateway(
  gateway: Subject,
  campaign: Campaign,
  driver: LoadDriver,
  chosen: readonly Scenario[],
): Promise<string> {
  if (gateway.inspectorPort === undefined) return '';
  const inspector = await Inspector.attach(gateway.pids[0]!, gateway.inspectorPort);
  const parts: string[] = [];
  for (const scenario of chosen.filter(({ name }) => PROFILED.has(name))) {
    await inspector.startProfile();
    await driver.run(campaign.plan(gateway, { ...scenario.load, seconds: SECONDS }), () => undefined);
    parts.push(
      `${scenario.title}\n${'='.repeat(scenario.title.length)}\n${topFunctions(await inspector.stopProfile())}`,
    );
  }
  inspector.close();
  return parts.join('\n\n');
}
