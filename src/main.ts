import './boot-signals.js';
import { setFlagsFromString } from 'node:v8';
import { requireNodeVersion } from './config/node-version.js';

requireNodeVersion();
// An idle process throws its compiled code away, and the first requests after a pause would cost twice as much.
setFlagsFromString('--no-flush-bytecode');

// Only now: on an older Node some of what follows would fail before it could be said why.
const { start } = await import('./start.js');
await start();
