import type { IncomingMessage } from 'node:http';
import type { RecordedRequest, Vendor } from './script.js';

type Description = Pick<
  RecordedRequest,
  'method' | 'path' | 'query' | 'headers' | 'body' | 'json' | 'vendor' | 'model' | 'stream'
>;

/** What a request is, whichever vendor's dialect it is written in. */
export function describeRequest(request: IncomingMessage, body: string): Description {
  const url = new URL(request.url ?? '/', 'http://upstream');
  const path = url.pathname;
  const json = parseJson(body);
  const vendor = vendorOf(path, request);
  return {
    method: request.method ?? 'GET',
    path,
    query: Object.fromEntries(url.searchParams),
    headers: request.headers,
    body,
    json,
    vendor,
    model: vendor === 'google' ? googleModel(path) : fieldOf(json, 'model'),
    stream: path.endsWith(':streamGenerateContent') || Object(json).stream === true,
  };
}

function vendorOf(path: string, request: IncomingMessage): Vendor | undefined {
  if (request.headers['anthropic-version'] || path.endsWith('/messages')) return 'anthropic';
  if (/:(stream)?generateContent$|:countTokens$/i.test(path) || request.headers['x-goog-api-key'])
    return 'google';
  if (path.startsWith('/v1beta/') && !path.includes('/openai/')) return 'google';
  return path.includes('/chat/completions') || path.includes('/models') ? 'openai' : undefined;
}

function googleModel(path: string): string | undefined {
  return /\/models\/([^/:]+)/.exec(decodeURIComponent(path))?.[1];
}

function fieldOf(json: unknown, name: string): string | undefined {
  const value: unknown = (Object(json) as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
