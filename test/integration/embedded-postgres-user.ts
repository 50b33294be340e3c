/**
 * A process that uses the embedded database of the folder given to it, until it is told to stop: stands for another
 * gateway, and for one that is killed.
 */
import '../../libs/testing/source-hooks.ts';

const { startEmbeddedPostgres } = await import('../../src/database/embedded-postgres.js');
const server = await startEmbeddedPostgres({
  dataDir: String(process.argv[2]),
  fsync: process.argv[3] === 'fsync',
});
process.send?.({ url: server.url, attached: server.attached });
process.on('message', () => {
  void server.stop().then(() => process.exit(0));
});
