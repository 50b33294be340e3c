/**
 * The fake upstream as a program: `node libs/testing/fake-upstream/main.ts [port]`.
 *
 * Prints one line of JSON, `{"port": …}`, and ends when its stdin is closed, which the death of the parent does too.
 */
import '../source-hooks.ts';

const { UpstreamServer } = await import('./upstream-server.js');
const server = new UpstreamServer();
const port = await server.listen(Number(process.argv[2] ?? 0));
process.stdout.write(`${JSON.stringify({ port })}\n`);
process.stdin.resume().on('end', () => process.exit(0));
