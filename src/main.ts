import './boot-signals.js';
import { setFlagsFromString } from 'node:v8';
import { requireNodeVersion } from './config/node-version.js';

requireNodeVersion();
// An idle process throws its compiled code away, and the first requests after a pause would cost twice as much.
setFlagsFromString('--no-flush-bytecode');
// From the slow first requests V8 learns that the objects they allocate live long, and from then on allocates such objects
// in the old generation. Short-lived ones stay there until a full collection and keep alive what they point to: a tenth of
// all garbage was copied twice, at the cost of a seventh of a request's CPU.
setFlagsFromString('--no-allocation-site-pretenuring');

// Only now: on an older Node some of what follows would fail before it could be said why.
const { start } = await import('./start.js');
await start();
