import { GatewayError } from '@app/contracts';
import type { NextFunction, Request, Response } from 'express';
import { sendError } from './gateway-error.filter.js';

/** Probes, monitors and Prometheus call an instance by its address. */
const CALLED_BY_ADDRESS = /^\/(?:health(?:\/.*)?|ready|metrics)$/;

/**
 * Refuses a request whose Host is not in ALLOWED_HOSTS (`*.example.com` means any subdomain; the port is ignored).
 * Health routes and metrics are exempt.
 */
export function hostCheck(allowedHosts: readonly string[]) {
  const exact = new Set(
    allowedHosts.filter((host) => !host.startsWith('*.')).map((host) => host.toLowerCase()),
  );
  const suffixes = allowedHosts
    .filter((host) => host.startsWith('*.'))
    .map((host) => host.slice(1).toLowerCase());
  const allowsAll = allowedHosts.length === 0 || exact.has('*');
  return (request: Request, response: Response, next: NextFunction): void => {
    const host = hostname(request.headers.host);
    const allowed = allowsAll || exact.has(host) || suffixes.some((suffix) => host.endsWith(suffix));
    if (allowed || CALLED_BY_ADDRESS.test(request.path)) next();
    else
      sendError(
        response,
        new GatewayError('host_not_allowed', 'This host name is not served here.'),
        request,
      );
  };
}

/** A name or an address with an optional port, and nothing else: `evil.example/.example.com` is no name. */
const HOST = /^((?:[a-z0-9_-]{1,63}\.){0,126}[a-z0-9_-]{1,63}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/;

/** `''` for what is no host. */
function hostname(header: string | undefined): string {
  return HOST.exec((header ?? '').trim().toLowerCase())?.[1] ?? '';
}
