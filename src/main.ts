import './boot-signals.js';
import { setFlagsFromString } from 'node:v8';
import { requireNodeVersion } from './config/node-version.js';

requireNodeVersion();
// An idle process throws its compiled code away, and the first requests after a pause would cost twice as much.
setFlagsFromString('--no-flush-bytecode');
// V8 learns from the slow first requests of a process that what they make lives long, and makes the like among the old
// objects from then on. There nothing short-lived is collected before a full collection, and it keeps alive what it points
// to: a tenth of all garbage was copied twice, for a seventh of the CPU of a request.
setFlagsFromString('--no-allocation-site-pretenuring');

// Only now: on an older Node some of what follows would fail before it could be said why.
const { start } = await import('./start.js');
await start();
