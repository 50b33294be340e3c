import express, { type Request } from 'express';

/**
 * The client's address, behind as many trusted proxies as TRUST_PROXY_HOPS says. Express's own rule, also for a request
 * that has not been through Express (exact-routes.adapter.ts): that one has no getters, but knows its app.
 */
export function clientAddress(request: Request): string {
  const address: unknown = request.ip ?? Reflect.get(express.request, 'ip', request);
  return typeof address === 'string' ? address : (request.socket.remoteAddress ?? '');
}
