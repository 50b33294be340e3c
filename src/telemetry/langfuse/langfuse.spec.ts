import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Behaviour, RecordingServer, until } from '../../../test/support/recording-server.js';
import { canariesIn, CANARIES, requestRecord } from '../../../test/support/request-record.js';
import { LangfuseSink, type LangfuseSinkOptions } from './langfuse.sink.js';
import { traceContent } from './trace-content.js';

let server: RecordingServer;

beforeEach(async () => {
  server = await RecordingServer.start('{"successes":[],"errors":[]}');
});
afterEach(() => server.stop());

function open(changes: Partial<LangfuseSinkOptions> = {}): LangfuseSink {
  return new LangfuseSink({
    publicKey: 'pk-lf-test',
    secretKey: 'sk-lf-test-secret',
    host: server.url,
    sampleRate: 1,
    captureContent: false,
    release: '1.2.3',
    environment: 'test',
    ...changes,
  });
}

interface IngestedEvent {
  type: string;
  body: { id?: string; costDetails?: unknown };
}

function events(): IngestedEvent[] {
  return server.requests.flatMap((request) => JSON.parse(request.body).batch);
}

describe('a completion in Langfuse', () => {
  it('is one trace and one generation for each upstream call', async () => {
    const sink = open();
    sink.request(requestRecord());
    await sink.close(2_000);
    expect(server.requests[0]?.path).toBe('/api/public/ingestion');
    expect(server.requests[0]?.headers.authorization).toBe(
      `Basic ${Buffer.from('pk-lf-test:sk-lf-test-secret').toString('base64')}`,
    );
    const [trace, failed, served, ...more] = events();
    expect(more).toEqual([]);
    expect(trace).toMatchObject({
      type: 'trace-create',
      body: {
        id: '0199a000-0000-7000-8000-00000abcdef0',
        userId: 'user-1',
        release: '1.2.3',
        environment: 'test',
        metadata: { request_id: 'req-1', status: 200, cost: '0.000123456' },
      },
    });
    expect(failed).toMatchObject({
      type: 'generation-create',
      body: {
        level: 'ERROR',
        statusMessage: 'provider_overloaded',
        metadata: { provider: 'azure', upstream_status: 503 },
      },
    });
    expect(failed?.body.costDetails).toBeUndefined();
    expect(served).toMatchObject({
      type: 'generation-create',
      body: {
        traceId: trace?.body.id,
        model: 'gpt-4-0613',
        modelParameters: { temperature: 0.2, max_tokens: 64 },
        level: 'DEFAULT',
        startTime: '2026-11-23T10:00:00.100Z',
        completionStartTime: '2026-11-23T10:00:00.310Z',
        endTime: '2026-11-23T10:00:01.240Z',
        costDetails: { total: 0.000123456 },
        usageDetails: {
          input: 60,
          input_cached_tokens: 40,
          output: 40,
          output_reasoning_tokens: 10,
          total: 150,
        },
      },
    });
  });

  it('has no content unless it was asked for', async () => {
    const sink = open();
    sink.request(requestRecord());
    await sink.close(2_000);
    expect(canariesIn(server.bodies)).toEqual([]);
  });

  it('has content when it was asked for, without binary data and bounded', async () => {
    const sink = open({ captureContent: true });
    sink.request(requestRecord());
    await sink.close(2_000);
    expect(canariesIn(server.bodies)).toEqual([CANARIES.prompt, CANARIES.answer]);

    const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(50_000)}` } };
    expect(JSON.stringify(traceContent([{ role: 'user', content: [image] }]))).toContain(
      '[image/png, 50022 characters]',
    );
    expect(String(traceContent('x'.repeat(1_000_000))).length).toBeLessThan(64_100);
  });

  it('is traced by share, the same whoever asks', async () => {
    const sink = open({ sampleRate: 0.25 });
    for (let i = 0; i < 400; i++) {
      const tail = Math.floor((i / 400) * 0x1_0000_0000)
        .toString(16)
        .padStart(8, '0');
      sink.request(requestRecord({ billingId: `0199a000-0000-7000-8000-0000${tail}`, attempts: [] }));
    }
    await sink.close(2_000);
    expect(events()).toHaveLength(100);
  });
});

describe('a Langfuse server that fails', () => {
  it.each<Behaviour>(['hang', 'error', 'not-json'])(
    '%s: no request waits, the backlog is bounded, drops are counted',
    async (behaviour) => {
      server.behaviour = behaviour;
      const sink = open();
      let slowestMs = 0;
      for (let i = 0; i < 5_000; i++) {
        const started = performance.now();
        sink.request(requestRecord());
        slowestMs = Math.max(slowestMs, performance.now() - started);
        if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      // A request that waited for this server would wait for seconds.
      expect(slowestMs).toBeLessThan(1_000);
      expect(sink.backlog).toBeLessThanOrEqual(2_000);
      expect(sink.dropped).toBeGreaterThanOrEqual(15_000 - 2_000 - 100 * 50);
      const started = performance.now();
      await sink.close(200);
      expect(performance.now() - started).toBeLessThan(1_000);
    },
  );

  it('gets one batch at a time until it takes one', async () => {
    server.behaviour = 'error';
    const sink = open();
    const trace = (requests: number): void => {
      for (let i = 0; i < requests; i++) sink.request(requestRecord());
    };
    trace(100);
    await until(() => sink.backlog === 0, 10_000);
    trace(100);
    expect(sink.backlog).toBeLessThanOrEqual(50);
    server.behaviour = 'ok';
    await until(() => sink.backlog === 0, 10_000);
    trace(100);
    expect(sink.backlog).toBe(300);
  }, 20_000);

  it('is used again when it is back', async () => {
    server.behaviour = 'not-json';
    const sink = open();
    for (let i = 0; i < 100; i++) sink.request(requestRecord());
    await until(() => sink.backlog === 0, 10_000);
    expect(sink.dropped).toBeGreaterThan(0);
    server.behaviour = 'ok';
    server.requests.length = 0;
    sink.request(requestRecord({ requestId: 'after' }));
    await sink.close(2_000);
    expect(server.bodies).toContain('"request_id":"after"');
  });

  it('that is gone throws nothing', async () => {
    const gone = open({ host: 'http://127.0.0.1:9' });
    gone.request(requestRecord());
    await gone.close(200);
    expect(gone.backlog + gone.dropped).toBeGreaterThan(0);
  });
});
