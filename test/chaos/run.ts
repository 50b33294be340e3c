/**
 * Tries to break the money: `node test/chaos/run.ts [--profile check|short|leases|long|controls|control:<name>] [--seed N]
 * [--minutes M] [--program dist] [--out folder] [--keep]`; `--sum folder` makes a table of its result files. Needs the
 * built program (`npm run build`) and redis-server; everything else it starts itself, on 127.0.0.1, and ends again.
 *
 * Exit code 0: the books agree with what every client saw. For `controls`: every broken guarantee was noticed.
 */
import '../../libs/testing/source-hooks.ts';

await import('./command.ts');
