import type { Scenario } from '../scenarios.ts';
import type { Subject } from '../subjects/subject.ts';
import type { Campaign } from './campaign.ts';
import { Inspector } from './inspector.ts';
import type { LoadDriver } from './load-driver.ts';
import { topFunctions } from './top-functions.ts';

const SECONDS = 5;

/** Where the gateway's time goes, as text. Profiling costs: whatever else is measured comes before. */
export async function profileGateway(
  gateway: Subject,
  campaign: Campaign,
  driver: LoadDriver,
  scenarios: readonly Scenario[],
): Promise<string> {
  const inspector = await Inspector.attach(gateway.pids[0]!, gateway.inspectorPort!);
  const parts: string[] = [];
  for (const scenario of scenarios) {
    const plan = campaign.plan(gateway, scenario);
    await inspector.startProfile();
    await driver.run({ ...plan, seconds: plan.maxRequests ? plan.seconds : SECONDS }, () => undefined);
    gateway.forgetLog();
    const { title } = scenario;
    parts.push(`${title}\n${'='.repeat(title.length)}\n${topFunctions(await inspector.stopProfile())}`);
  }
  inspector.close();
  return parts.join('\n\n');
}
