#!/usr/bin/env node
import { requireNodeVersion } from './config/node-version.js';

requireNodeVersion();

// Imported late: on an old Node nothing but the check above must be loaded.
const { runCli } = await import('./cli/run-cli.js');
process.exitCode = await runCli(process.argv.slice(2));
