import { Injectable } from '@nestjs/common';
import { describeError } from './describe-error.js';
import { Logs } from './logging/logs.js';
import { RemoteSinks } from './remote-sinks.js';
import { Telemetry } from './telemetry.js';

const EXIT_CODE = 1;

/**
 * What a process reports when it dies of an uncaught error: one `fatal` line without secrets (Node's own report
 * would print the raw message) and one event for Sentry; then it exits. What was served is in the journal.
 */
@Injectable()
export class CrashReports {
  #dying = false;

  constructor(
    private readonly telemetry: Telemetry,
    private readonly logs: Logs,
    private readonly remote: RemoteSinks,
  ) {}

  /** Called once by the program; not by tests, whose runner has its own idea of uncaught errors. */
  install(): void {
    process.on('uncaughtException', (error) => void this.#die('uncaught exception', error));
    process.on('unhandledRejection', (reason) => void this.#die('unhandled rejection', reason));
  }

  async #die(where: string, error: unknown): Promise<void> {
    this.logs.lines.fatal({ where, error: describeError(error) }, 'the process exits');
    this.logs.flushSync();
    if (this.#dying) process.exit(EXIT_CODE);
    this.#dying = true;
    try {
      this.telemetry.event({ kind: 'unexpected-error', where, requestId: undefined, error });
      await this.remote.close();
    } finally {
      this.logs.flushSync();
      process.exit(EXIT_CODE);
    }
  }
}
