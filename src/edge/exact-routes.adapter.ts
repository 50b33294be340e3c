import { ExpressAdapter } from '@nestjs/platform-express';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { sendError, toGatewayError } from './gateway-error.filter.js';
import { LeanResponse } from './lean-response.js';

/** Nest's: the promise of a handler that has answered, or whose error a filter has answered. */
type RouteHandler = (request: Request, response: Response, next: NextFunction) => Promise<unknown>;

interface ExactRoute {
  readonly path: string;
  readonly handler: RouteHandler;
}

/**
 * Express, with a short way for the busiest routes: a POST to exactly the path of one of them goes to its handler (all of
 * Nest's: guards, interceptors, filters) by one look into a map, instead of by Express's prototypes, middleware layers and
 * a walk along all routes. That is about a fifth of what the gateway spends on a whole answer.
 *
 * Everything that looks different in any way (a query, a trailing slash, another case, a browser's Origin) takes the long
 * way to the same handler. A handler on the short way sees Node's own request and response, without Express's additions.
 */
export class ExactRoutesAdapter extends ExpressAdapter {
  readonly #routes = new Map<string, ExactRoute>();
  #edge: RequestHandler = (_request, _response, next) => next();

  /** @param paths  of the POST routes that get the short way */
  constructor(private readonly paths: ReadonlySet<string>) {
    super();
  }

  /** What every request goes through before its route; on the long way Express is given the same by `use`. */
  set edge(edge: RequestHandler) {
    this.#edge = edge;
  }

  override post(...parameters: [path: unknown, handler?: unknown]): unknown {
    const [path, handler] = parameters;
    if (typeof path === 'string' && this.paths.has(path) && typeof handler === 'function') {
      this.#routes.set(path, { path, handler: handler as RouteHandler });
    }
    return Reflect.apply(super.post, this, parameters);
  }

  override status(response: ServerResponse, statusCode: number): ServerResponse {
    response.statusCode = statusCode;
    return response;
  }

  override initHttpServer(): void {
    const express = this.getInstance<(request: IncomingMessage, response: ServerResponse) => void>();
    this.httpServer = createServer({ ServerResponse: LeanResponse }, (request, response) => {
      const route = this.#find(request);
      if (route) this.#serve(route, request, response);
      else express(request, response);
    });
  }

  #find({ method, url, headers }: IncomingMessage): ExactRoute | undefined {
    if (method !== 'POST' || url === undefined || headers.origin !== undefined) return undefined;
    return this.#routes.get(url);
  }

  #serve(route: ExactRoute, incoming: IncomingMessage, outgoing: LeanResponse): void {
    outgoing.keepHead();
    // The boundary: the handlers of exact routes use only what Node's own request and response have.
    const request = incoming as Request;
    const response = outgoing as ServerResponse as Response;
    request.app = this.getInstance();
    request.route = route;
    const fail = (error: unknown): void => sendError(response, toGatewayError(error), request);
    try {
      this.#edge(request, response, (error?: unknown) => {
        if (error === undefined) route.handler(request, response, fail).catch(fail);
        else fail(error);
      });
    } catch (error) {
      fail(error);
    }
  }
}
