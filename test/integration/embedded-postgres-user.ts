/**
 * A process that uses the embedded database of the folder given to it, until it is told to stop: stands for another
 * gateway, and for one that is killed. Runs from the sources (see libs/testing/fake-upstream/main.ts).
 */
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    const ours = specifier.startsWith('.') && context.parentURL?.endsWith('.ts');
    return next(ours ? specifier.replace(/\.js$/, '.ts') : specifier, context);
  },
});

const { startEmbeddedPostgres } = await import('../../src/database/embedded-postgres.js');
const server = await startEmbeddedPostgres({
  dataDir: String(process.argv[2]),
  fsync: process.argv[3] === 'fsync',
});
process.send?.({ url: server.url, attached: server.attached });
process.on('message', () => {
  void server.stop().then(() => process.exit(0));
});
