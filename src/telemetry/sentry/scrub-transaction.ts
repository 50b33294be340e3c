import type { TransactionEvent } from './build-transaction.js';

/** Attributes that hold an address of a request, ours or a provider's. */
const ADDRESS = /url|target|query|referer/i;
/** Attributes that may hold what a client sent. */
const CONTENT =
  /header|cookie|body|user_agent|statement\.param|gen_ai\.(?:input|output|prompt|completion|request\.messages)/i;

/**
 * `beforeSendTransaction` of Sentry's own instrumentation: addresses lose their query, and attributes that may hold what a
 * client sent are left out. Our own transactions have neither.
 */
export function scrubTransaction(event: TransactionEvent): TransactionEvent {
  const trace = event.contexts?.trace;
  return {
    ...event,
    request: event.request && { method: event.request.method, url: withoutQuery(event.request.url) },
    breadcrumbs: undefined,
    extra: undefined,
    ...(trace && { contexts: { ...event.contexts, trace: { ...trace, data: scrubData(trace.data ?? {}) } } }),
    spans: event.spans?.map((span) => ({
      ...span,
      description: withoutQuery(span.description),
      data: scrubData(span.data),
    })),
  };
}

function scrubData<Value>(data: Readonly<Record<string, Value>>): Record<string, Value> {
  const kept = Object.entries(data).filter(([name]) => !CONTENT.test(name) && !name.endsWith('.query'));
  return Object.fromEntries(
    kept.map(([name, value]) => [
      name,
      // only a text can have a query, and what comes out of it is a text again
      ADDRESS.test(name) && typeof value === 'string' ? (withoutQuery(value) as Value) : value,
    ]),
  );
}

function withoutQuery<Text extends string | undefined>(text: Text): Text {
  return (text === undefined ? text : text.replace(/\?.*$/s, '')) as Text;
}
