import type { AttemptRecord, RequestRecord } from '../../src/telemetry/telemetry.js';

/** Texts that must never leave the process through telemetry: a prompt, an answer, keys and tokens. */
export const CANARIES = {
  prompt: 'canary-prompt-6f1d2',
  answer: 'canary-answer-91b7c',
  openaiKey: 'sk-canary0123456789abcdef',
  googleKey: 'AIzaCanary0123456789abcdefghijklmno',
  jwt: 'eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9.c2lnbmF0dXJlY2FuYXJ5',
  password: 'canary-db-password',
} as const;

/** A streamed completion that went well after one failed call, with every field set. */
export function requestRecord(changes: Partial<RequestRecord> = {}): RequestRecord {
  return {
    requestId: 'req-1',
    billingId: '0199a000-0000-7000-8000-00000abcdef0',
    userId: 'user-1',
    model: 'gpt-4',
    provider: 'openai',
    upstreamModel: 'gpt-4-0613',
    stream: true,
    status: 200,
    errorCode: undefined,
    durationMs: 1_250.25,
    timeToFirstChunkMs: 320,
    upstreamMs: 1_248,
    usage: {
      inputTokens: 100,
      cacheReadInputTokens: 40,
      outputTokens: 50,
      reasoningOutputTokens: 10,
    },
    finishReason: 'stop',
    costNanoUsd: 123_456n,
    attempts: [
      attemptRecord({
        provider: 'azure',
        outcome: 'provider_overloaded',
        upstreamStatus: 503,
        durationMs: 80,
      }),
      attemptRecord(),
    ],
    cache: 'MISS',
    idempotentReplay: false,
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    startedAt: new Date('2026-11-23T10:00:00.000Z'),
    stagesMs: { auth: 0.05, limits: 0.1, hold: 0.6, settle: 0.4 },
    content: {
      input: [{ role: 'user', content: CANARIES.prompt }],
      output: { role: 'assistant', content: CANARIES.answer },
      parameters: { temperature: 0.2, max_tokens: 64, stop: CANARIES.prompt, seed: [CANARIES.prompt] },
    },
    ...changes,
  };
}

export function attemptRecord(changes: Partial<AttemptRecord> = {}): AttemptRecord {
  return {
    provider: 'openai',
    upstreamModel: 'gpt-4-0613',
    startedAt: new Date('2026-11-23T10:00:00.100Z'),
    durationMs: 1_140,
    timeToFirstChunkMs: 210,
    outcome: 'ok',
    upstreamStatus: 200,
    providerRequestId: 'prov-1',
    ...changes,
  };
}

/** An error as libraries throw them: keys in the message, headers, bodies and configuration hanging on it. */
export function leakyError(): Error {
  const cause = Object.assign(
    new Error(`connect failed: postgres://gateway:${CANARIES.password}@db:5432/app`),
    {
      parameters: [CANARIES.prompt],
    },
  );
  return Object.assign(
    new Error(`401 for Bearer ${CANARIES.jwt} with ${CANARIES.openaiKey} ${CANARIES.googleKey}`, { cause }),
    {
      headers: { authorization: `Bearer ${CANARIES.jwt}`, 'x-api-key': CANARIES.openaiKey },
      config: { apiKey: CANARIES.googleKey },
      body: { messages: [{ content: CANARIES.prompt }] },
      code: 'ECONNREFUSED',
    },
  );
}

/** @returns the canaries that stand in the text; a test wants none */
export function canariesIn(text: string): string[] {
  return Object.values(CANARIES).filter((canary) => text.includes(canary));
}
