import type { ChatRequest } from '@app/contracts';
import type { Response } from 'express';
import { describe, expect, it } from 'vitest';
import type { QuoterService } from '../billing/quote/quoter.service.js';
import type { AppConfig } from '../config/app-config.js';
import type { RequestContext } from '../edge/request-context.js';
import { ConcurrencyLimiter } from '../limits/concurrency-limiter.service.js';
import { MemoryLimitStore } from '../limits/memory-limit-store.js';
import { RequestLimiter } from '../limits/request-limiter.service.js';
import { TokenLimiter } from '../limits/token-limiter.service.js';
import { Telemetry } from '../telemetry/telemetry.js';
import { AdmissionService } from './admission.service.js';
import { CompletionRun } from './completion-run.js';

function limited(rateLimit: Partial<AppConfig['rateLimit']>) {
  const limits = { requestsPerMinute: 5, requestsPerHour: 50, globalRequestsPerMinute: 500 };
  const off = { tokensPerMinute: 0, concurrentRequests: 0 };
  const config = { rateLimit: { ...limits, ...off, ...rateLimit } } as AppConfig;
  const parts = [new MemoryLimitStore(), new Telemetry(), config] as const;
  const requests = new RequestLimiter(...parts);
  const admission = new AdmissionService(
    requests,
    new TokenLimiter(...parts),
    new ConcurrencyLimiter(...parts),
    { inputTokensBound: () => 10 } as unknown as QuoterService,
  );
  const used = async (userId: string): Promise<number[]> => {
    const { windows } = await requests.take(userId);
    await requests.giveBack(userId);
    return windows.map((window) => window.used - 1);
  };
  const headers = new Map<string, string>();
  /** As a request goes: through the guard, then here. */
  const ask = async (userId: string, wishes: Partial<ChatRequest> = { max_tokens: 90 }) => {
    await requests.take(userId);
    const request: ChatRequest = { model: 'm', messages: [], ...wishes };
    const context = { principal: { userId } } as RequestContext;
    const run = new CompletionRun(request, context, false);
    const setHeader = (name: string, value: string) => headers.set(name, value);
    await admission.admit(run, { setHeader } as unknown as Response);
    return run;
  };
  return { ask, used, admission, headers };
}

describe('admission', () => {
  it('counts what is admitted', async () => {
    const { ask, used } = limited({ concurrentRequests: 2, tokensPerMinute: 1000 });
    await ask('ann');
    await ask('ann');
    expect(await used('ann')).toEqual([2, 2, 2]);
  });

  it.each([
    ['requests at a time', { concurrentRequests: 1 }],
    ['tokens per minute', { tokensPerMinute: 150 }],
  ])('counts nothing that it refuses: %s', async (message, rateLimit) => {
    const { ask, used } = limited(rateLimit);
    await ask('ann');
    for (let times = 0; times < 10; times += 1) await expect(ask('ann')).rejects.toThrow(message);
    expect(await used('ann')).toEqual([1, 1, 1]);
    await ask('bob');
    expect(await used('bob')).toEqual([1, 1, 2]);
  });

  it.each([
    [{ max_tokens: 90 }, '900'],
    [{ max_tokens: 90, n: 3 }, '720'],
    [{}, '0'],
  ])('of %j, tells what is left', async (wishes, left) => {
    const { ask, headers } = limited({ tokensPerMinute: 1000 });
    await ask('ann', wishes);
    expect(headers.get('x-ratelimit-remaining-tokens')).toBe(left);
  });

  it('gives the place in flight back when it refuses for the tokens', async () => {
    const { ask } = limited({ concurrentRequests: 2, tokensPerMinute: 150 });
    await ask('ann');
    for (let times = 0; times < 3; times += 1) await expect(ask('ann')).rejects.toThrow('tokens per minute');
  });

  it('gives all tokens back of what had no usage', async () => {
    const { ask, admission } = limited({ tokensPerMinute: 150 });
    admission.correctTokens(await ask('ann'));
    await ask('ann');
  });

  it('counts the tokens that a provider used, and none of an answer from the cache', async () => {
    const { ask, admission } = limited({ tokensPerMinute: 150 });
    const usage = { inputTokens: 10, outputTokens: 90 };
    const cached = await ask('ann');
    admission.correctTokens(Object.assign(cached, { cache: 'HIT', usage }));
    admission.correctTokens(Object.assign(await ask('ann'), { cache: 'MISS', usage }));
    await expect(ask('ann')).rejects.toThrow('tokens per minute');
  });
});
