/**
 * The fake upstream as a program: `node libs/testing/fake-upstream/main.ts [port]`.
 *
 * Runs from the TypeScript sources without a build: Node strips the types, and the hook below lets `./x.js` mean
 * `./x.ts`, as the compiler does. So everything it imports is erasable TypeScript (no enums, no parameter properties).
 * Prints one line of JSON, `{"port": …}`, and ends when its stdin is closed, which the death of the parent does too.
 */
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    const ours = specifier.startsWith('.') && context.parentURL?.endsWith('.ts');
    return next(ours ? specifier.replace(/\.js$/, '.ts') : specifier, context);
  },
});

const { UpstreamServer } = await import('./upstream-server.js');
const server = new UpstreamServer();
const port = await server.listen(Number(process.argv[2] ?? 0));
process.stdout.write(`${JSON.stringify({ port })}\n`);
process.stdin.resume().on('end', () => process.exit(0));
