import type { ChatCompletion, ChatRequest, ChatStreamEvent } from '@app/contracts';
import type { Request } from 'express';
import { describe, expect, it } from 'vitest';
import { MemoryAnswerStore } from '../cache/answer-store.js';
import { ResponseCache } from '../cache/response-cache.service.js';
import type { AppConfig } from '../config/app-config.js';
import type { RequestContext } from '../edge/request-context.js';
import type { CatalogModel } from '../models/catalog.js';
import { Telemetry } from '../telemetry/telemetry.js';
import { FreshAnswer } from './answer.js';
import { CachedAnswers } from './cached-answers.service.js';
import type { CompletionExecution, StreamHooks } from './completion-execution.service.js';
import { CompletionRun } from './completion-run.js';

const TARGET = { provider: 'p', upstreamModel: 'u', priceVersion: 'v' };
const MODEL = { id: 'm', targets: [TARGET], fallbacks: [], cache: undefined } as unknown as CatalogModel;
const REQUEST: ChatRequest = { model: 'm', messages: [{ role: 'user', content: 'Hi' }], seed: 7 };
const COMPLETION: ChatCompletion = {
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
};
const EVENT: ChatStreamEvent = { json: '{}', outputText: 'Hello', usageOnly: false, finishReason: 'stop' };
const INCOMING = { headers: { 'x-cache-ttl': '60' } } as unknown as Request;

/** A provider that takes no seed. */
const execution = {
  complete: async (run: CompletionRun) => {
    run.target = TARGET;
    run.droppedParams = ['seed'];
    return new FreshAnswer(COMPLETION);
  },
  stream: async (run: CompletionRun, hooks: StreamHooks) => {
    run.target = TARGET;
    run.droppedParams = ['seed'];
    hooks.onUpstreamEvent?.(EVENT);
    await hooks.onComplete?.();
    hooks.onEnd({ kind: 'complete' });
    return [];
  },
  chargeCacheHit: async () => undefined,
} as unknown as CompletionExecution;

function newRun(isStream: boolean): CompletionRun {
  const context = { principal: { userId: 'ann' }, startedAtMs: 0 } as RequestContext;
  const run = new CompletionRun(REQUEST, context, isStream);
  run.model = MODEL;
  return run;
}

describe('an answer from the cache', () => {
  it.each([
    ['whole', false],
    ['streamed', true],
  ])('names what its provider was not asked for, as when it was fresh: %s', async (_what, isStream) => {
    const config = {
      timeouts: { requestMs: 1_000 },
      cache: { responseMaxBytes: 10_000, responseTtlMs: 1_000 },
    } as AppConfig;
    const cache = new ResponseCache(new MemoryAnswerStore(100_000), new Telemetry(), config);
    const answers = new CachedAnswers(cache, execution);
    for (const outcome of ['MISS', 'HIT']) {
      const run = newRun(isStream);
      await (isStream
        ? answers.stream(run, INCOMING, { onEnd: () => undefined })
        : answers.whole(run, INCOMING));
      expect(run.headers()).toMatchObject({ 'x-cache': outcome, 'x-gateway-dropped-params': 'seed' });
    }
  });
});
