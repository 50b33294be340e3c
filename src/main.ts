import './boot-signals.js';
import { requireNodeVersion } from './config/node-version.js';

requireNodeVersion();

// Only now: on an older Node some of what follows would fail before it could be said why.
const { start } = await import('./start.js');
await start();
