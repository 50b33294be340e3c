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

/** Helmet's headers, with a policy for data and one for pages. */
export function securityHeaders(helmet: Helmet): RequestHandler {
  const forApi = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: API_POLICY },
    frameguard: { action: 'deny' },
  });
  const forPages = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: PAGE_POLICY },
    frameguard: { action: 'deny' },
  });
  return (request: Request, response: Response, next: NextFunction) => {
    const isPage = request.path.startsWith('/docs') || request.path.startsWith('/ops');
    (isPage ? forPages : forApi)(request, response, next);
  };
}
