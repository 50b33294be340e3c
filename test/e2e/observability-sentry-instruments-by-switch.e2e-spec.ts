import { createDatabase, FakeUpstream, startGateway } from '@app/testing';
import { describe, expect, it } from 'vitest';
import { RecordingServer, until } from '../support/recording-server.js';

const PROMPT = 'canary-prompt-of-instrumentation';
const QUERY = 'canary-query-of-instrumentation';

describe('SENTRY_AUTO_INSTRUMENTATION', () => {
  it('traces requests, statements and upstream calls, never its own envelopes, and no content', async () => {
    const database = await createDatabase();
    const sentry = await RecordingServer.start('{}');
    await using upstream = await FakeUpstream.start();
    await using gateway = await startGateway({
      env: {
        ...upstream.env,
        DATABASE_URL: database.url,
        SENTRY_DSN: `http://public@127.0.0.1:${sentry.port}/1`,
        SENTRY_TRACES_SAMPLE_RATE: '1',
        SENTRY_AUTO_INSTRUMENTATION: 'true',
      },
    });
    for (let i = 0; i < 5; i++) {
      const response = await gateway.fetch(`/v1/chat/completions?key=${QUERY}`, {
        method: 'POST',
        as: 'alice',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'gpt-4', messages: [{ role: 'user', content: PROMPT }] }),
      });
      expect(response.status).toBe(200);
      await response.text();
    }
    const seen = () => sentry.bodies.match(/"transaction":"POST \/v1\/chat\/completions"/g)?.length ?? 0;
    await until(() => seen() >= 5, 20_000);
    expect(sentry.bodies).toContain('"op":"http.client"');
    expect(sentry.bodies).toContain('"op":"db"');
    expect(sentry.bodies).not.toContain('/envelope/');
    expect(sentry.bodies).not.toContain(PROMPT);
    expect(sentry.bodies).not.toContain(QUERY);
    expect(sentry.bodies).not.toContain('sk-fake-openai-key');
    await gateway.stop();
    await sentry.stop();
    await database.drop();
  });
});
