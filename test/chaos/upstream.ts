/**
 * The provider of the rig, as a program: the fake upstream's own answers, spoiled at random.
 *
 * `node test/chaos/upstream.ts '<seed>' '<Scenario.upstream as JSON>'` prints `{"port": …}` and ends with its stdin.
 */
import '../../libs/testing/source-hooks.ts';

const { serveUpstream } = await import('./upstream-server.ts');
const [, , seed = '1', settings = '{}'] = process.argv;
const port = await serveUpstream(Number(seed), JSON.parse(settings));
process.stdout.write(`${JSON.stringify({ port })}\n`);
process.stdin.resume().on('end', () => process.exit(0));
