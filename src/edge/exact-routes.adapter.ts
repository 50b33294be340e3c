import { ExpressAdapter } from '@nestjs/platform-express';
import type { Request, RequestHandler, Response } from 'express';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { sendError, toGatewayError } from './gateway-error.filter.js';
import { HeadStart, LeanResponse } from './lean-response.js';

/** The promise is kept when the handler has answered, or a filter its error; it is never rejected. */
type RouteHandler = (request: Request, response: Response) => Promise<void>;

interface ExactRoute {
  readonly path: string;
  readonly handler: RouteHandler;
}

/**
 * Express, with a short way for the busiest routes: a POST to exactly the path of one of them goes to its handler
 * (`guardedRoute`: the same guards and filter) by one look into a map, instead of by Express's prototypes, middleware
 * layers, a walk along all routes and Nest's promises. That is a third of what the gateway spends on a whole answer.
 *
 * Everything that looks different in any way (a query, a trailing slash, another case, a browser's Origin) takes the long
 * way to the same controller. A handler on the short way sees Node's own request and response, without Express's additions.
 */
export class ExactRoutesAdapter extends ExpressAdapter {
  readonly #routes = new Map<string, ExactRoute>();
  #edge: readonly RequestHandler[] = [];
  #start = new HeadStart();

  /**
   * Gives POSTs to these paths the short way.
   *
   * @param edge     what a request goes through before its route, as on the long way: each answers or goes on, at once
   * @param headers  that every answer begins with: name, value, name, value, …
   */
  shorten(
    paths: Iterable<string>,
    handler: RouteHandler,
    edge: readonly RequestHandler[],
    headers: readonly string[],
  ): void {
    for (const path of paths) this.#routes.set(path, { path, handler });
    this.#edge = edge;
    this.#start = new HeadStart(headers);
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
    outgoing.keepHead(this.#start);
    // The boundary: the handlers of exact routes use only what Node's own request and response have.
    const request = incoming as Request;
    const response = outgoing as ServerResponse as Response;
    request.app = this.getInstance();
    request.route = route;
    try {
      if (passesAll(this.#edge, request, response)) void route.handler(request, response);
    } catch (error) {
      sendError(response, toGatewayError(error), request);
    }
  }
}

let hasPassed = false;
const notePassed = (): void => void (hasPassed = true);

/** Each step in turn until one answers. They decide at once, so one note serves them all, without a closure for each. */
export function passesAll(steps: readonly RequestHandler[], request: Request, response: Response): boolean {
  for (const step of steps) {
    hasPassed = false;
    void step(request, response, notePassed);
    if (!hasPassed) return false;
  }
  return true;
}
