import { GatewayError } from '@app/contracts';
import type { NextFunction, Request, Response } from 'express';
import { sendError } from './gateway-error.filter.js';

/**
 * Refuses a request whose Host is not in ALLOWED_HOSTS (`*.example.com` means any subdomain; the port is ignored).
 * Health routes are exempt: probes call by address.
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
    if (allowed || request.path === '/health' || request.path === '/ready') next();
    else
      sendError(
        response,
        new GatewayError('host_not_allowed', 'This host name is not served here.'),
        request,
      );
  };
}

function hostname(header: string | undefined): string {
  const value = (header ?? '').trim().toLowerCase();
  return value.startsWith('[') ? value.replace(/\]:\d+$/, ']') : value.replace(/:\d+$/, '');
}
