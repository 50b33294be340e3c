import { GatewayError } from '@app/contracts';
import type { NextFunction, Request, Response } from 'express';
import { sendError } from './gateway-error.filter.js';

/** Probes, monitors and Prometheus call an instance by its address. */
const CALLED_BY_ADDRESS = /^\/(?:health(?:\/.*)?|ready|metrics)$/;

/**
 * Refuses a request whose Host is not in ALLOWED_HOSTS (`*.example.com` means any subdomain; the port is ignored).
 * Health routes and metrics are exempt.
 *
 * @param allowedHosts  as `AppConfig` has them
 */
export function hostCheck(allowedHosts: readonly string[]) {
  const exact = new Set(allowedHosts.filter((host) => !host.startsWith('*.')));
  const suffixes = allowedHosts.filter((host) => host.startsWith('*.')).map((host) => host.slice(1));
  const allowsAll = allowedHosts.length === 0;
  return (request: Request, response: Response, next: NextFunction): void => {
    if (request.headers.host === undefined && request.httpVersionMinor > 0) {
      sendError(response, new GatewayError('invalid_http_request', 'The Host header is missing.'), request);
      return;
    }
    if (allowsAll || CALLED_BY_ADDRESS.test(request.gateway.path) || hostsOf(request).every(isAllowed))
      next();
    else
      sendError(
        response,
        new GatewayError('host_not_allowed', 'This host name is not served here.'),
        request,
      );
  };

  function isAllowed(header: string): boolean {
    const host = hostname(header);
    return exact.has(host) || suffixes.some((suffix) => host.endsWith(suffix));
  }
}

/** Every name the request goes by: proxies differ in which of two Host headers they believe, or in `GET http://name/`. */
function hostsOf(request: Request): readonly string[] {
  const hosts = request.headersDistinct.host ?? [''];
  const target = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(request.url)?.[1];
  return target === undefined ? hosts : [...hosts, target];
}

/** A name or an address with an optional port, and nothing else: `evil.example/.example.com` is no name. */
const HOST = /^((?:[a-z0-9_-]{1,63}\.){0,126}[a-z0-9_-]{1,63}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/;

/** `''` for what is no host. */
function hostname(header: string): string {
  return HOST.exec(header.trim().toLowerCase())?.[1] ?? '';
}
