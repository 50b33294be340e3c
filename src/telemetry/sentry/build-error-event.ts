import type { ErrorEvent, NodeClient, SeverityLevel } from '@sentry/nestjs';
import { errorChain, errorMessage, errorType, stackFrames } from '../describe-error.js';
import { withoutUndefined } from '../without-undefined.js';

/** Marks the events of ours: `onlyOurs` lets nothing else out. */
const LOGGER = 'gateway';

export type Tags = Readonly<Record<string, string | number | undefined>>;

interface ErrorFacts {
  readonly where: string;
  readonly userId: string | undefined;
  readonly tags: Tags;
}

/** An error -> Sentry's event, built by hand: the SDK would also send whatever libraries attach to errors. */
export function buildErrorEvent(client: NodeClient, error: unknown, facts: ErrorFacts): ErrorEvent {
  const chain = errorChain(error);
  const parse = client.getOptions().stackParser;
  const values = chain.map((one) => ({
    type: errorType(one),
    value: errorMessage(one),
    mechanism: { type: 'gateway', handled: true },
    stacktrace: { frames: parse(`${errorType(one)}\n${stackFrames(one)}`) },
  }));
  return {
    ...buildMessageEvent(
      values.length === 0 ? `a value that is no error was thrown (${typeof error})` : undefined,
      'error',
      facts.tags,
    ),
    transaction: facts.where,
    ...(facts.userId !== undefined && { user: { id: facts.userId } }),
    // Sentry wants the innermost cause first.
    ...(values.length > 0 && { exception: { values: values.reverse() } }),
  };
}

export function buildMessageEvent(message: string | undefined, level: SeverityLevel, tags: Tags): ErrorEvent {
  return {
    type: undefined,
    level,
    logger: LOGGER,
    platform: 'node',
    ...(message !== undefined && { message }),
    tags: withoutUndefined(tags),
  };
}

/**
 * `beforeSend`: what our sink built, and of that the fields named here. Whatever integrations caught by themselves is
 * dropped (our own handlers tell of it), and so is what they attached: requests, breadcrumbs, local variables.
 */
export function onlyOurs(event: ErrorEvent): ErrorEvent | null {
  if (event.logger !== LOGGER) return null;
  return {
    type: undefined,
    event_id: event.event_id,
    timestamp: event.timestamp,
    level: event.level,
    logger: event.logger,
    platform: event.platform,
    release: event.release,
    environment: event.environment,
    sdk: event.sdk,
    transaction: event.transaction,
    message: event.message,
    tags: event.tags,
    user: event.user,
    exception: event.exception,
    contexts: {
      ...(event.contexts?.trace && { trace: event.contexts.trace }),
      ...(event.contexts?.runtime && { runtime: event.contexts.runtime }),
      ...(event.contexts?.os && { os: event.contexts.os }),
    },
    sdkProcessingMetadata: event.sdkProcessingMetadata,
  };
}
