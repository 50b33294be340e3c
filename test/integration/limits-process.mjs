// A process of its own for the limit tests: src/limits without the rest of the gateway, compiled on the way in.
// Run as `node --import ../support/typescript-hooks.mjs limits-process.mjs <overload|control|cluster> <json settings>`; prints one line of JSON.
import cluster from 'node:cluster';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const [, , mode, json] = process.argv;
const settings = JSON.parse(json ?? '{}');
const load = (file) => import(new URL(`../../src/${file}`, import.meta.url).href);

if (mode === 'cluster') await inCluster();
else await onRedis();

/** Asks as fast as it is answered, between the given times; once in any case, however late it comes. Each grant as [asked, answered], wall clock ms. */
async function overload(take, { startAt, endAt }) {
  const grants = [];
  await sleep(Math.max(0, startAt - Date.now()));
  const clients = Array.from({ length: settings.concurrency }, async () => {
    do {
      const asked = performance.timeOrigin + performance.now();
      if (await take()) grants.push([asked, performance.timeOrigin + performance.now()]);
      await sleep(1);
    } while (Date.now() < endAt);
  });
  await Promise.all(clients);
  return grants;
}

async function onRedis() {
  const { createRedis, waitUntilReady } = await load('redis/redis-client.ts');
  const redis = createRedis(settings.url, { commandTimeout: 5000 });
  await waitUntilReady(redis, 5000);
  const take = mode === 'control' ? fixedWindow(redis) : await slidingWindow(redis);
  process.stdout.write('ready\n');
  const lines = createInterface(process.stdin);
  const [times] = await once(lines, 'line');
  process.stdout.write(`${JSON.stringify(await overload(take, JSON.parse(times)))}\n`);
  redis.disconnect();
  lines.close();
  process.stdin.destroy();
}

async function slidingWindow(redis) {
  const { RedisLimitStore } = await load('limits/redis-limit-store.ts');
  const store = new RedisLimitStore(redis);
  const charge = { rule: settings.rule, key: 'u', cost: 1 };
  return async () => (await store.take([charge], [{ floor: 0, granted: 0 }])).allowed;
}

/** The usual way, for comparison: count, and let the counter expire. */
function fixedWindow(redis) {
  const script = `local n = redis.call('INCR', KEYS[1])
    if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n`;
  return async () => (await redis.eval(script, 1, 'control', settings.rule.windowMs)) <= settings.rule.limit;
}

/** Several workers, no Redis: do they share one limit? Prints the number of grants of each. */
async function inCluster() {
  if (cluster.isPrimary) {
    if (settings.served) (await load('limits/cluster-limit-server.ts')).serveLimitsToWorkers();
    const workers = Array.from({ length: settings.workers }, () => cluster.fork());
    const granted = await Promise.all(
      workers.map(
        (worker) =>
          new Promise((resolve) =>
            worker.on('message', (m) => m.granted !== undefined && resolve(m.granted)),
          ),
      ),
    );
    process.stdout.write(`${JSON.stringify(granted)}\n`, () => process.exit(0));
    return;
  }
  const { ClusterLimitStore } = await load('limits/cluster-limit-store.ts');
  const { ResilientLimitStore } = await load('limits/resilient-limit-store.ts');
  const options = { onMode: () => undefined, instances: settings.instances };
  const store = new ResilientLimitStore(new ClusterLimitStore(), options);
  await store.start();
  let granted = 0;
  for (let index = 0; index < settings.each; index++) {
    if ((await store.take([{ rule: settings.rule, key: 'u', cost: 1 }])).allowed) granted++;
  }
  process.send({ granted });
}
