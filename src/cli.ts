#!/usr/bin/env node
import { requireNodeVersion } from './config/node-version.js';

requireNodeVersion();

// As process 1 of a container node would ignore them: a command in the middle of something is cut, as anywhere else.
process.on('SIGTERM', () => process.exit(143));
process.on('SIGINT', () => process.exit(130));

// Imported late: on an old Node nothing but the check above must be loaded.
const { runCli } = await import('./cli/run-cli.js');
process.exitCode = await runCli(process.argv.slice(2));
