import { close, type NodeClient, Scope } from '@sentry/nestjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RecordingServer, until } from '../../../test/support/recording-server.js';
import { canariesIn, CANARIES, leakyError, requestRecord } from '../../../test/support/request-record.js';
import { buildTransaction, isSampled, traceOf } from './build-transaction.js';
import { scrubTransaction } from './scrub-transaction.js';
import { boundedTransport } from './sentry-transport.js';
import { SentrySink } from './sentry.sink.js';
import { startSentry } from './start-sentry.js';

let server: RecordingServer;
let client: NodeClient;
let sink: SentrySink;

beforeEach(async () => {
  server = await RecordingServer.start('{}');
  const started = await startSentry({
    dsn: `http://public@127.0.0.1:${server.port}/42`,
    environment: 'test',
    release: '1.2.3',
    autoInstrumentation: false,
    tracesSampleRate: 0,
  });
  if (!started) throw new Error('Sentry did not start');
  client = started;
  sink = newSink(1);
});
afterEach(async () => {
  server.behaviour = 'ok';
  await close(100);
  // The client is the process's: the next test starts another.
  const { getGlobalScope, getCurrentScope, getIsolationScope } = await import('@sentry/nestjs');
  for (const scope of [getGlobalScope(), getCurrentScope(), getIsolationScope()]) scope.setClient(undefined);
  await server.stop();
});

function newSink(tracesSampleRate: number): SentrySink {
  return new SentrySink(client, () => new Scope(), {
    tracesSampleRate,
    release: '1.2.3',
    environment: 'test',
  });
}

interface Payload {
  timestamp: number;
  start_timestamp: number;
  spans: { op: string; parent_span_id: string }[];
  contexts: { trace: { span_id: string } };
  exception: { values: { type: string; value: string }[] };
}

/** What the first envelope holds: its third line. */
function payload(): Payload {
  return JSON.parse(server.requests[0]?.body.split('\n')[2] ?? '{}');
}

describe('an unexpected error', () => {
  it('arrives with its ids and code frames, and nothing else of ours', async () => {
    sink.event({
      kind: 'unexpected-error',
      where: 'POST /v1/chat/completions',
      requestId: 'req-9',
      userId: 'user-1',
      model: 'gpt-4',
      provider: 'openai',
      error: leakyError(),
    });
    await until(() => server.requests.length === 1);
    expect(payload()).toMatchObject({
      release: '1.2.3',
      environment: 'test',
      transaction: 'POST /v1/chat/completions',
      tags: { request_id: 'req-9', model: 'gpt-4', provider: 'openai' },
      user: { id: 'user-1' },
    });
    expect(payload().exception.values.at(-1)?.type).toBe('Error');
    expect(JSON.stringify(payload())).toContain('request-record.ts');
    expect(canariesIn(server.bodies)).toEqual([]);
  });

  it('does not quote what a JSON parser choked on', async () => {
    let thrown: unknown;
    try {
      JSON.parse(`${CANARIES.prompt}`);
    } catch (error) {
      thrown = error;
    }
    sink.event({ kind: 'unexpected-error', where: 'x', requestId: undefined, error: thrown });
    await until(() => server.requests.length === 1);
    expect(server.bodies).toContain('SyntaxError');
    expect(server.bodies).not.toContain(CANARIES.prompt.slice(0, 9));
  });

  it('is sent by us or not at all: what the SDK catches by itself stays here', async () => {
    client.captureException(leakyError());
    client.captureMessage(CANARIES.prompt);
    sink.event({ kind: 'unexpected-error', where: 'x', requestId: 'ours', error: leakyError() });
    await client.flush(2_000);
    expect(server.requests).toHaveLength(1);
    expect(server.bodies).toContain('"request_id":"ours"');
  });

  it('arrives also when somebody showed it to the SDK before', async () => {
    const error = leakyError();
    client.captureException(error);
    sink.event({ kind: 'unexpected-error', where: 'x', requestId: 'again', error });
    await client.flush(2_000);
    expect(server.bodies).toContain('"request_id":"again"');
  });

  it('tells its causes, innermost first as Sentry wants them', async () => {
    sink.event({
      kind: 'unexpected-error',
      where: 'x',
      requestId: 'c',
      error: new TypeError('outer', { cause: new Error('inner') }),
    });
    await client.flush(2_000);
    expect(payload().exception.values).toMatchObject([
      { type: 'Error', value: 'inner' },
      { type: 'TypeError', value: 'outer' },
    ]);
  });

  it('is held back when there are thousands a minute', async () => {
    for (let i = 0; i < 5_000; i++) {
      sink.event({ kind: 'unexpected-error', where: 'x', requestId: `r${i}`, error: new Error(`no ${i}`) });
    }
    expect(sink.dropped).toBe(4_940);
    await client.flush(2_000);
    expect(server.requests.length).toBeLessThanOrEqual(60);
  });
});

describe('a fault that repeats with every request', () => {
  it('leaves room for the others', async () => {
    for (let i = 0; i < 500; i++) {
      sink.request(
        requestRecord({ status: 502, errorCode: 'provider_auth_failed', requestId: `refused-${i}` }),
      );
      sink.event({ kind: 'unexpected-error', where: 'x', requestId: `r${i}`, error: new Error(`no ${i}`) });
    }
    expect(sink.dropped).toBe(880);
    await client.flush(2_000);
    sink.event({
      kind: 'shortfall',
      model: 'gpt-4',
      amountNanoUsd: 5n,
      requestId: 'the-shortfall',
      userId: 'user-1',
    });
    sink.event({ kind: 'audit-mismatch', check: 'the-check', count: 1 });
    sink.event({
      kind: 'unexpected-error',
      where: 'settlement',
      requestId: 'the-charge',
      error: new Error('x'),
    });
    await client.flush(2_000);
    const names = ['the-shortfall', 'the-check', 'the-charge'];
    expect(names.filter((name) => !server.bodies.includes(name))).toEqual([]);
  });
});

describe('an alarm', () => {
  it('names request, user, model and provider', async () => {
    sink.event({
      kind: 'unknown-cost',
      provider: 'openai',
      model: 'gpt-4-0613',
      requestId: 'req-3',
      userId: 'user-3',
    });
    await until(() => server.requests.length === 1);
    expect(payload()).toMatchObject({
      level: 'error',
      release: '1.2.3',
      tags: { request_id: 'req-3', provider: 'openai', model: 'gpt-4-0613' },
      user: { id: 'user-3' },
    });
  });
});

describe('a completion', () => {
  it('becomes a transaction of the caller’s trace, with spans for stages and calls', async () => {
    sink.request(requestRecord());
    await until(() => server.requests.length === 1);
    const event = payload();
    expect(event).toMatchObject({
      type: 'transaction',
      release: '1.2.3',
      user: { id: 'user-1' },
      tags: { request_id: 'req-1', model: 'gpt-4', provider: 'openai' },
      contexts: {
        trace: {
          trace_id: '0af7651916cd43dd8448eb211c80319c',
          parent_span_id: 'b7ad6b7169203331',
          status: 'ok',
        },
      },
    });
    expect(event.timestamp - event.start_timestamp).toBeCloseTo(1.25025, 5);
    expect(event.spans.map((span) => span.op)).toEqual([
      'gateway.auth',
      'gateway.limits',
      'gateway.hold',
      'gateway.settle',
      'gen_ai.chat',
      'gen_ai.chat',
    ]);
    for (const span of event.spans) expect(span.parent_span_id).toBe(event.contexts.trace.span_id);
    expect(JSON.parse(server.requests[0]?.body.split('\n')[0] ?? '').trace).toMatchObject({
      public_key: 'public',
    });
    expect(canariesIn(server.bodies)).toEqual([]);
  });

  it('that failed by the client’s fault is no error', async () => {
    newSink(0).request(requestRecord({ status: 400, errorCode: 'invalid_body' }));
    newSink(0).request(requestRecord({ status: 502, errorCode: 'provider_auth_failed' }));
    await until(() => server.requests.length === 1);
    expect(payload()).toMatchObject({ message: 'A provider refused our key', tags: { provider: 'openai' } });
  });

  it('is sampled by its trace, and never against the caller’s decision', () => {
    const trace = (tail: string, flags: string) =>
      traceOf(`00-0af7651916cd43dd8448eb21${tail}-b7ad6b7169203331-${flags}`);
    expect(isSampled(trace('00000000', '01'), 0.01)).toBe(true);
    expect(isSampled(trace('ffffffff', '01'), 0.99)).toBe(false);
    expect(isSampled(trace('ffffffff', '01'), 1)).toBe(true);
    expect(isSampled(trace('00000000', '00'), 1)).toBe(false);
    const sampled = Array.from({ length: 10_000 }, () => isSampled(traceOf(undefined), 0.1)).filter(
      Boolean,
    ).length;
    expect(sampled).toBeGreaterThan(800);
    expect(sampled).toBeLessThan(1_200);
  });

  it('has spans only where time was spent', () => {
    const refused = requestRecord({
      attempts: [],
      stagesMs: { auth: 1 },
      traceparent: undefined,
      status: 402,
    });
    const event = buildTransaction(refused, traceOf(undefined));
    expect(event.spans).toHaveLength(1);
    expect(event.contexts?.trace).toMatchObject({ status: 'resource_exhausted' });
  });
});

describe('a transaction of Sentry’s own instrumentation', () => {
  it('loses queries, headers and bodies', () => {
    const scrubbed = scrubTransaction({
      type: 'transaction',
      request: {
        method: 'POST',
        url: `http://x/v1?key=${CANARIES.googleKey}`,
        data: CANARIES.prompt,
        headers: { a: CANARIES.jwt },
      },
      breadcrumbs: [{ message: CANARIES.prompt }],
      contexts: {
        trace: {
          trace_id: 'a',
          span_id: 'b',
          data: {
            'http.url': `http://x/v1?key=${CANARIES.googleKey}`,
            'http.query': CANARIES.googleKey,
            'http.route': '/v1',
          },
        },
      },
      spans: [
        {
          trace_id: 'a',
          span_id: 'c',
          start_timestamp: 0,
          description: `POST https://google/v1?key=${CANARIES.googleKey}`,
          data: {
            'http.request.header.authorization': CANARIES.jwt,
            'url.full': `https://google/v1?key=${CANARIES.googleKey}`,
            'db.statement': 'select 1',
          },
        },
      ],
    });
    expect(canariesIn(JSON.stringify(scrubbed))).toEqual([]);
    expect(scrubbed.spans?.[0]).toMatchObject({
      description: 'POST https://google/v1',
      data: { 'db.statement': 'select 1' },
    });
    expect(scrubbed.contexts?.trace?.data).toEqual({ 'http.url': 'http://x/v1', 'http.route': '/v1' });
  });
});

describe('an ingest that hangs', () => {
  it('costs a request nothing and keeps no more than 32 envelopes', async () => {
    server.behaviour = 'hang';
    const started = performance.now();
    for (let i = 0; i < 500; i++) sink.request(requestRecord());
    expect(performance.now() - started).toBeLessThan(500);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(server.requests.length).toBeLessThanOrEqual(32);
  });

  it('keeps no more than 32 envelopes in memory either', async () => {
    server.behaviour = 'hang';
    const dropped: string[] = [];
    const transport = boundedTransport({
      url: `${server.url}/x`,
      recordDroppedEvent: (reason) => void dropped.push(reason),
    });
    for (let i = 0; i < 100; i++) {
      const sent = transport.send([{ event_id: 'e', sent_at: '' }, [[{ type: 'event' }, {}]]]);
      sent.then(undefined, () => {}); // the server goes away at the end of the test
    }
    await until(() => dropped.length > 0);
    expect(dropped).toEqual(Array.from({ length: 68 }, () => 'queue_overflow'));
  });

  it('holds the shutdown for no longer than it was given', async () => {
    server.behaviour = 'hang';
    sink.request(requestRecord());
    const started = performance.now();
    await sink.close(300);
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});
