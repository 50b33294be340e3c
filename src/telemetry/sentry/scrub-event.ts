import type { ErrorEvent, StackFrame } from '@sentry/nestjs';
import { maskSecrets } from '../mask-secrets.js';

/** Quoted text in a message may be what a parser choked on: a prompt. */
const QUOTED_SOURCE = /(["'`])(?:(?!\1)[\s\S])*\1(?:\.{3})?/g;

/**
 * What leaves the house with an error: built anew from the fields named here, so that nothing an integration or a
 * library attached (request bodies, headers, breadcrumbs, local variables) can come along.
 */
export function scrubEvent(event: ErrorEvent): ErrorEvent {
  return {
    type: undefined,
    event_id: event.event_id,
    timestamp: event.timestamp,
    level: event.level,
    platform: event.platform,
    release: event.release,
    environment: event.environment,
    sdk: event.sdk,
    transaction: event.transaction,
    fingerprint: event.fingerprint,
    message: event.message === undefined ? undefined : maskSecrets(event.message),
    tags: event.tags,
    user: event.user?.id === undefined ? undefined : { id: event.user.id },
    contexts: {
      ...(event.contexts?.trace && { trace: event.contexts.trace }),
      ...(event.contexts?.runtime && { runtime: event.contexts.runtime }),
      ...(event.contexts?.os && { os: event.contexts.os }),
    },
    exception: event.exception && {
      values: event.exception.values?.map((exception) => ({
        type: exception.type,
        value: exceptionText(exception.type, exception.value),
        mechanism: exception.mechanism && {
          type: exception.mechanism.type,
          handled: exception.mechanism.handled,
        },
        stacktrace: exception.stacktrace && { frames: exception.stacktrace.frames?.map(codeOnly) },
      })),
    },
    sdkProcessingMetadata: event.sdkProcessingMetadata,
  };
}

function exceptionText(type: string | undefined, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  return maskSecrets(type === 'SyntaxError' ? value.replace(QUOTED_SOURCE, '[text]') : value);
}

/** Where in the code, without the values that were there. */
function codeOnly(frame: StackFrame): StackFrame {
  return {
    filename: frame.filename,
    function: frame.function,
    module: frame.module,
    lineno: frame.lineno,
    colno: frame.colno,
    in_app: frame.in_app,
  };
}
