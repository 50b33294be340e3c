import { inspect } from 'node:util';
import type { LoggerService } from '@nestjs/common';
import type { Level } from 'pino';
import { describeError } from '../describe-error.js';
import { maskSecrets } from '../mask-secrets.js';
import type { Logs } from './logs.js';

const MAX_MESSAGE = 8_000;

/** Nest's list of every module and route, a hundred lines at each start: worth reading with DEBUG. */
const CHATTY_CONTEXTS: ReadonlySet<unknown> = new Set(['InstanceLoader', 'RoutesResolver', 'RouterExplorer']);
/** What Nest calls itself when it logs the error of a failed start, with a stack, before it is thrown to the start. */
const TOLD_BY_THE_START = 'ExceptionHandler';

/** Nest's own lines, and those of `new Logger(name)` in our services, through the process's one log. */
export class GatewayLogger implements LoggerService {
  constructor(private readonly logs: Logs) {}

  log(message: unknown, ...rest: unknown[]): void {
    this.#write(CHATTY_CONTEXTS.has(rest.at(-1)) ? 'debug' : 'info', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.#write('warn', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.#write('debug', message, rest);
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.#write('debug', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    if (rest.at(-1) === TOLD_BY_THE_START) return;
    this.#write('error', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.#write('fatal', message, rest);
    this.logs.flushSync();
  }

  /** Nest passes `(message, ...more, context)`, and for errors `(message, stack, context)`. */
  #write(level: Level, message: unknown, rest: unknown[]): void {
    if (!this.logs.lines.isLevelEnabled(level)) return;
    const context = rest.findLast((part) => typeof part === 'string' && !part.includes('\n'));
    const stack = rest.find((part) => typeof part === 'string' && part.includes('\n    at '));
    const thrown = [message, ...rest].find((part) => part instanceof Error);
    this.logs.lines[level](
      {
        ...(context !== undefined && { context }),
        ...(thrown !== undefined && { error: describeError(thrown) }),
        ...(thrown === undefined && stack !== undefined && { stack: maskSecrets(String(stack)) }),
      },
      asText(message),
    );
  }
}

function asText(message: unknown): string {
  if (message instanceof Error) return describeError(message).message;
  const text = typeof message === 'string' ? message : inspect(message, { depth: 2, breakLength: Infinity });
  return maskSecrets(text.slice(0, MAX_MESSAGE));
}
