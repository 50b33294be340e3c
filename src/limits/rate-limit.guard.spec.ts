import { GatewayError } from '@app/contracts';
import {
  type ArgumentsHost,
  Catch,
  Controller,
  type ExceptionFilter,
  Get,
  Global,
  Module,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { SkipThrottle, Throttle } from '@nestjs/throttler';
import { Test } from '@nestjs/testing';
import type { INestApplication } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { afterEach, describe, expect, it } from 'vitest';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { type GatewayEvent, Telemetry } from '../telemetry/telemetry.js';
import { LimitsModule } from './limits.module.js';
import { RateLimitStatus } from './rate-limit-status.service.js';
import { RateLimitGuard } from './rate-limit.guard.js';

@Controller()
class Routes {
  @Get('limited')
  limited(): string {
    return 'ok';
  }

  @SkipThrottle()
  @Get('skipped')
  skipped(): string {
    return 'ok';
  }

  @Throttle({ minute: { limit: 1, ttl: 60_000 } })
  @Get('narrow')
  narrow(): string {
    return 'ok';
  }
}

class Inherited {
  @Get()
  answer(): string {
    return 'ok';
  }
}

@Controller('counted')
class Counted extends Inherited {}

@SkipThrottle()
@Controller('uncounted')
class Uncounted extends Inherited {}

/** What the gateway's own filter does, as far as this test looks. */
@Catch(GatewayError)
class ErrorFilter implements ExceptionFilter<GatewayError> {
  catch(error: GatewayError, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<Response>();
    for (const [name, value] of Object.entries(error.headers)) response.setHeader(name, value);
    response.setHeader('Retry-After', String(Math.ceil((error.retryAfterMs ?? 0) / 1000)));
    response.status(error.status).json(error.toEnvelope());
  }
}

let app: INestApplication;
const events: GatewayEvent[] = [];

async function start(
  rateLimit: Partial<AppConfig['rateLimit']>,
): Promise<(path: string, user?: string) => Promise<globalThis.Response>> {
  const config = {
    http: { workers: 1 },
    rateLimit: {
      storage: 'memory',
      requestsPerMinute: 0,
      requestsPerHour: 0,
      globalRequestsPerMinute: 0,
      tokensPerMinute: 0,
      concurrentRequests: 0,
      ...rateLimit,
    },
  };
  const telemetry = new Telemetry();
  events.length = 0;
  telemetry.addSink({ event: (event) => events.push(event) });

  @Global()
  @Module({
    providers: [
      { provide: APP_CONFIG, useValue: config },
      { provide: Telemetry, useValue: telemetry },
    ],
    exports: [APP_CONFIG, Telemetry],
  })
  class Surroundings {}

  const module = await Test.createTestingModule({
    imports: [Surroundings, LimitsModule],
    controllers: [Routes, Counted, Uncounted],
    providers: [
      { provide: APP_GUARD, useExisting: RateLimitGuard },
      { provide: APP_FILTER, useClass: ErrorFilter },
    ],
  }).compile();
  app = module.createNestApplication({ logger: false });
  app.use((request: Request, _response: Response, next: NextFunction) => {
    const userId = request.headers['x-user'];
    Object.assign(request, { gateway: { principal: typeof userId === 'string' ? { userId } : undefined } });
    next();
  });
  await app.listen(0, '127.0.0.1');
  const base = await app.getUrl();
  return (path, user) => fetch(`${base}/${path}`, user === undefined ? {} : { headers: { 'x-user': user } });
}

afterEach(() => app.close());

describe('RateLimitGuard', () => {
  it('lets as many through as allowed, with the headers, and refuses the next one', async () => {
    const get = await start({ requestsPerMinute: 2, requestsPerHour: 100 });
    const first = await get('limited', 'ann');
    expect(first.status).toBe(200);
    expect(first.headers.get('x-ratelimit-limit-requests')).toBe('2');
    expect(first.headers.get('x-ratelimit-remaining-requests')).toBe('1');
    expect(first.headers.get('x-ratelimit-reset-requests')).toMatch(/^(1m(0|0\.\d+|1)s|59\.\d+s)$|^1m0/);
    expect(first.headers.get('ratelimit-policy')).toBe('"rpm";q=2;w=60, "rph";q=100;w=3600');
    await get('limited', 'ann');
    const refused = await get('limited', 'ann');
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ error: { type: 'rate_limit_error', code: 'rate_limited' } });
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0');
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(50);
    expect(Math.ceil(Number(refused.headers.get('retry-after-ms')) / 1000)).toBe(seconds);
    expect((await get('limited', 'bob')).status).toBe(200);
  });

  it('counts nothing for a refused request', async () => {
    const get = await start({ requestsPerMinute: 1, requestsPerHour: 100 });
    for (let index = 0; index < 10; index++) await get('limited', 'ann');
    const refused = await get('limited', 'ann');
    expect(refused.headers.get('ratelimit')).toContain('"rph";r=99;');
  });

  it('has a limit for everybody together, and does not show it to anybody', async () => {
    const get = await start({ requestsPerMinute: 10, globalRequestsPerMinute: 2 });
    await get('limited', 'ann');
    await get('limited', 'bob');
    const refused = await get('limited', 'cid');
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ error: { code: 'global_rate_limited' } });
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('10');
    expect(refused.headers.get('ratelimit-policy')).toBe('"rpm";q=10;w=60');
  });

  it('has that limit without any of a user’s own', async () => {
    const get = await start({ globalRequestsPerMinute: 1 });
    expect((await get('limited', 'ann')).status).toBe(200);
    expect((await get('limited', 'bob')).status).toBe(429);
  });

  it('goes by the decorators of the class that inherits a handler', async () => {
    const get = await start({ requestsPerMinute: 1 });
    expect((await get('counted', 'ann')).status).toBe(200);
    expect((await get('uncounted', 'ann')).status).toBe(200);
    expect((await get('counted', 'ann')).status).toBe(429);
  });

  it('leaves requests without a principal and skipped routes alone', async () => {
    const get = await start({ requestsPerMinute: 1 });
    for (let index = 0; index < 3; index++) {
      expect((await get('limited')).status).toBe(200);
      expect((await get('skipped', 'ann')).status).toBe(200);
    }
    expect((await get('limited', 'ann')).status).toBe(200);
  });

  it('adds a route’s own limit by throttler’s decorator, per user', async () => {
    const get = await start({ requestsPerMinute: 100 });
    expect((await get('narrow', 'ann')).status).toBe(200);
    const refused = await get('narrow', 'ann');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
    expect((await get('narrow', 'bob')).status).toBe(200);
    expect((await get('limited', 'ann')).status).toBe(200);
  });

  it('is silent with every limit off', async () => {
    const get = await start({});
    const response = await get('limited', 'ann');
    expect(response.status).toBe(200);
    expect([...response.headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual([]);
  });

  it('tells who was let through and which limit refused, and where it counts', async () => {
    const get = await start({ requestsPerMinute: 1 });
    await get('limited', 'ann');
    await get('limited', 'ann');
    expect(events).toEqual([
      { kind: 'rate-limit-mode', mode: 'memory' },
      { kind: 'rate-limit', scope: 'user', outcome: 'allowed' },
      { kind: 'rate-limit', scope: 'user_minute', outcome: 'refused' },
    ]);
    expect(app.get(RateLimitStatus).current()).toMatchObject({
      mode: 'memory',
      instances: 1,
      lastError: undefined,
    });
  });
});
