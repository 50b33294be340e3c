import { type DestinationStream, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import type { AppConfig } from '../../config/app-config.js';
import { LogDestination } from './log-destination.js';

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Undefined = stdout. */
  readonly file: string | undefined;
  /** Undefined = among the other lines, marked `"stream":"audit"`. */
  readonly auditFile: string | undefined;
  /** For eyes instead of machines. */
  readonly pretty: boolean;
}

/** The process's log: one stream of lines, and one of administrative and security events. */
export class Logs {
  /** Everything, one JSON object a line: `timestamp`, `level`, `message` and the fields listed at each call. */
  readonly lines: Logger;
  /** Who changed what, and who was refused: `"stream":"audit"`, always written whatever the level. */
  readonly audit: Logger;
  readonly #destinations: LogDestination[] = [];
  /** Where `info` writes its finished lines; `undefined` = through pino. */
  readonly #plain: LogDestination | undefined;

  constructor(options: LogOptions) {
    this.#plain = options.pretty ? undefined : this.#open(options.file);
    const destination = this.#plain ?? prettyStdout();
    this.lines = build(options.level, destination);
    const audit = options.auditFile === undefined ? destination : this.#open(options.auditFile);
    this.audit = build('info', audit).child({ stream: 'audit' });
  }

  get debug(): boolean {
    return this.lines.isLevelEnabled('debug');
  }

  /**
   * The same line as `lines.info(fields, message)`, for the one of every request: made by one JSON.stringify. Pino puts it
   * together field by field, which takes three times as long and leaves 10 kB of garbage a line.
   *
   * @param fields  asked for only when the line is written; what it gives is ours
   */
  info(fields: () => Record<string, unknown>, message: string): void {
    if (!this.lines.isLevelEnabled('info')) return;
    if (!this.#plain) return this.lines.info(fields(), message);
    const entry = fields();
    entry['message'] = message;
    this.#plain.write(`{"level":"info"${isoTimestamp()},${JSON.stringify(entry).slice(1)}\n`);
  }

  /** Lines lost to a full disk or a reader that stopped reading. */
  get lost(): number {
    return this.#destinations.reduce((sum, destination) => sum + destination.lost, 0);
  }

  /** After a rotation (SIGUSR2): the files are opened anew. */
  reopen(): void {
    for (const destination of this.#destinations) destination.reopen();
  }

  async flush(timeoutMs = 1_000): Promise<void> {
    await Promise.all(this.#destinations.map((destination) => destination.flush(timeoutMs)));
  }

  flushSync(): void {
    for (const destination of this.#destinations) destination.flushSync();
  }

  #open(file: string | undefined): LogDestination {
    const destination = new LogDestination(file);
    this.#destinations.push(destination);
    return destination;
  }
}

let ofProcess: Logs | undefined;

/** The process's log, for the start and for what it starts. */
export function processLogs(config: AppConfig): Logs {
  ofProcess ??= new Logs(logOptions(config));
  return ofProcess;
}

function logOptions(config: AppConfig): LogOptions {
  const file = config.observability.logFile;
  return {
    level: config.debug ? 'debug' : config.logLevel,
    file,
    auditFile: config.observability.auditLogFile,
    pretty: config.environment === 'development' && file === undefined && process.stdout.isTTY === true,
  };
}

function build(level: LogOptions['level'], destination: DestinationStream): Logger {
  return pino(
    {
      level,
      base: undefined,
      messageKey: 'message',
      timestamp: isoTimestamp,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
}

/** Pino's time fragment, under our key. Made once for all lines of a millisecond. */
function isoTimestamp(): string {
  const now = Date.now();
  if (now !== formattedMs) {
    formattedMs = now;
    formatted = `,"timestamp":"${new Date(now).toISOString()}"`;
  }
  return formatted;
}
let formattedMs = 0;
let formatted = '';

function prettyStdout(): DestinationStream {
  return pretty({
    colorize: true,
    sync: true,
    messageKey: 'message',
    timestampKey: 'timestamp',
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
  });
}
