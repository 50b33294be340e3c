import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { IncomingMessage, ServerResponse } from 'node:http';

type Helmet = (
  options?: Record<string, unknown>,
) => (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

const SELF = ["'self'"];

/** For JSON: nothing may be loaded, framed or run. */
const API_POLICY = {
  defaultSrc: ["'none'"],
  frameAncestors: ["'none'"],
  baseUri: ["'none'"],
  formAction: ["'none'"],
};

/** For the pages we serve (/docs, /ops): own scripts only; Swagger UI styles itself inline and shows data: images. */
const PAGE_POLICY = {
  defaultSrc: SELF,
  scriptSrc: SELF,
  styleSrc: [...SELF, "'unsafe-inline'"],
  imgSrc: [...SELF, 'data:'],
  connectSrc: SELF,
  fontSrc: [...SELF, 'data:'],
  objectSrc: ["'none'"],
  frameAncestors: ["'none'"],
  baseUri: ["'none'"],
  formAction: SELF,
  // Without this the pages would also work only behind TLS; the proxy in front decides that.
  upgradeInsecureRequests: null,
};

/**
 * Helmet's headers, with a policy for data and one for pages. They are the same for every request, so helmet is asked
 * once, not by its chain of fourteen middlewares for every request.
 */
export function securityHeaders(helmet: Helmet): RequestHandler {
  const forApi = apiSecurityHeaders(helmet);
  const forPages = headersOf(helmet, PAGE_POLICY);
  return (request: Request, response: Response, next: NextFunction) => {
    const isPage = request.gateway.path.startsWith('/docs') || request.gateway.path.startsWith('/ops');
    for (const [name, value] of isPage ? forPages : forApi) response.setHeader(name, value);
    next();
  };
}

/** Those of every answer that is no page. */
export function apiSecurityHeaders(helmet: Helmet): [name: string, value: string][] {
  return headersOf(helmet, API_POLICY);
}

function headersOf(helmet: Helmet, directives: Record<string, unknown>): [name: string, value: string][] {
  const headers: [string, string][] = [];
  const recorder = {
    setHeader: (name: string, value: string) => void headers.push([name, value]),
    removeHeader: () => undefined,
  };
  const middleware = helmet({
    contentSecurityPolicy: { useDefaults: false, directives },
    frameguard: { action: 'deny' },
  });
  // The boundary: helmet looks at nothing of a request, and only sets and removes headers of a response.
  middleware({} as IncomingMessage, recorder as unknown as ServerResponse, (error) => {
    if (error) throw error;
  });
  return headers;
}
