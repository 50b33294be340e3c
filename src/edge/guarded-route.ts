import {
  type ArgumentsHost,
  type ExceptionFilter,
  type ExecutionContext,
  ForbiddenException,
  type Type,
} from '@nestjs/common';
import type { Request, Response } from 'express';
import { sendError, toGatewayError } from './gateway-error.filter.js';

type Handler = (request: Request, response: Response) => Promise<void>;
type HttpArguments = ReturnType<ArgumentsHost['switchToHttp']>;

/** A guard that gives no Observable. */
export interface PlainGuard {
  canActivate(context: ExecutionContext): boolean | Promise<boolean>;
}

export interface GuardedRoute<Method extends string> {
  /** In order, those of the whole application. */
  readonly guards: readonly PlainGuard[];
  readonly controller: Record<Method, Handler>;
  /** A handler with `@Req()` and `@Res()` and nothing else, which sets its own status. */
  readonly method: Method;
  /** Gets whatever a guard or the handler throws. */
  readonly filter: ExceptionFilter;
}

/**
 * A route's guards, handler and filter, run as Nest runs them, except that nobody waits for what is there already: Nest
 * wraps a guard, all guards, pipes, interceptors, handler and result in a promise each, which is a tenth of what the
 * gateway spends on a short answer.
 *
 * @returns  a handler whose promise is never rejected
 */
export function guardedRoute<Method extends string>(route: GuardedRoute<Method>): Handler {
  const { guards, controller, method, filter } = route;
  const handler: Handler = controller[method];
  // The boundary: TypeScript does not know the class of an object.
  const type = controller.constructor as Type;
  const handle = filter.catch.bind(filter);
  return (request, response) => {
    const execution = new RouteExecution(request, response, type, handler);
    const fail = (error: unknown): void => {
      try {
        handle(error, execution);
      } catch (fault) {
        sendError(response, toGatewayError(fault), request);
      }
    };
    try {
      return pass(0).catch(fail);
    } catch (error) {
      fail(error);
      return Promise.resolve();
    }

    /** The guards from this one on, then the handler. Waits only for a guard that makes a promise. */
    function pass(from: number): Promise<void> {
      for (let index = from; index < guards.length; index += 1) {
        const verdict = guards[index]!.canActivate(execution);
        if (typeof verdict !== 'boolean') {
          return verdict.then((passed) => {
            demand(passed);
            return pass(index + 1);
          });
        }
        demand(verdict);
      }
      return controller[method](request, response);
    }
  };
}

function demand(passed: boolean): void {
  if (!passed) throw new ForbiddenException();
}

/** What Nest's own ExecutionContextHost says of a request over HTTP. */
class RouteExecution implements ExecutionContext, HttpArguments {
  constructor(
    private readonly request: Request,
    private readonly response: Response,
    private readonly controller: Type,
    private readonly handler: Handler,
  ) {}

  getClass<T>(): Type<T> {
    return this.controller as Type<T>;
  }

  getHandler(): Handler {
    return this.handler;
  }

  getArgs<T extends unknown[]>(): T {
    return [this.request, this.response] as unknown[] as T;
  }

  getArgByIndex<T>(index: number): T {
    return this.getArgs()[index] as T;
  }

  getType<T extends string>(): T {
    return 'http' as T;
  }

  switchToHttp(): HttpArguments {
    return this;
  }

  getRequest<T>(): T {
    return this.request as T;
  }

  getResponse<T>(): T {
    return this.response as T;
  }

  getNext<T>(): T {
    throw new Error('a guarded route is the last to be asked') as T;
  }

  switchToRpc(): never {
    throw new Error('a request over HTTP');
  }

  switchToWs(): never {
    throw new Error('a request over HTTP');
  }
}
