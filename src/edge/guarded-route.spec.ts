import { type ArgumentsHost, type ExecutionContext, ForbiddenException } from '@nestjs/common';
import type { Request, Response } from 'express';
import { describe, expect, it } from 'vitest';
import { guardedRoute, type PlainGuard } from './guarded-route.js';

const request = { name: 'request' } as unknown as Request;
const response = { name: 'response' } as unknown as Response;

class Controller {
  readonly served: unknown[] = [];
  fault: Error | undefined;

  async create(...given: unknown[]): Promise<void> {
    this.served.push(given);
    if (this.fault) throw this.fault;
  }
}

function routeWith(...guards: PlainGuard['canActivate'][]) {
  const controller = new Controller();
  const caught: { error: unknown; host: ArgumentsHost }[] = [];
  const serve = guardedRoute({
    guards: guards.map((canActivate) => ({ canActivate })),
    controller,
    method: 'create',
    filter: { catch: (error: unknown, host: ArgumentsHost) => void caught.push({ error, host }) },
  });
  return { controller, caught, serve };
}

describe('a guarded route', () => {
  it('asks its guards in order, each when the one before has let the request through', async () => {
    const asked: string[] = [];
    const { controller, caught, serve } = routeWith(
      () => asked.push('first') > 0,
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        return asked.push('slow') > 0;
      },
      () => asked.push('last') > 0,
    );
    await serve(request, response);
    expect(asked).toEqual(['first', 'slow', 'last']);
    expect(controller.served).toEqual([[request, response]]);
    expect(caught).toEqual([]);
  });

  it('reaches its handler at once when no guard needs time', () => {
    const { controller, serve } = routeWith(() => true);
    void serve(request, response);
    expect(controller.served).toHaveLength(1);
  });

  it.each([
    ['says no', () => false],
    ['says no later', () => Promise.resolve(false)],
  ])('is closed, and asks nobody else, when a guard %s', async (_case, refusing) => {
    const { controller, caught, serve } = routeWith(refusing, () => {
      throw new Error('asked all the same');
    });
    await serve(request, response);
    expect(controller.served).toEqual([]);
    expect(caught.map(({ error }) => error)).toEqual([expect.any(ForbiddenException)]);
  });

  it.each([
    [
      'a guard throws',
      (fault: Error) => {
        throw fault;
      },
    ],
    ['a guard rejects', (fault: Error) => Promise.reject(fault)],
  ])('gives its filter what was thrown when %s', async (_case, guard) => {
    const fault = new Error('refused');
    const { controller, caught, serve } = routeWith(() => guard(fault));
    await serve(request, response);
    expect(controller.served).toEqual([]);
    expect(caught[0]?.error).toBe(fault);
    expect(caught[0]?.host.switchToHttp().getResponse()).toBe(response);
  });

  it('gives its filter what its handler throws', async () => {
    const { controller, caught, serve } = routeWith(() => true);
    controller.fault = new Error('broken');
    await serve(request, response);
    expect(caught[0]?.error).toBe(controller.fault);
  });

  it('tells its guards of which handler and class it is, as decorators need to know', async () => {
    let context: ExecutionContext | undefined;
    const { serve } = routeWith((given) => {
      context = given;
      return true;
    });
    await serve(request, response);
    expect(context?.getClass()).toBe(Controller);
    expect(context?.getHandler()).toBe(Controller.prototype.create);
    expect(context?.getType()).toBe('http');
    expect(context?.getArgs()).toEqual([request, response]);
    expect(context?.switchToHttp().getRequest()).toBe(request);
  });
});
