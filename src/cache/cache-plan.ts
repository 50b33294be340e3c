import { type ChatRequest, GatewayError } from '@app/contracts';
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Principal } from '../auth/principal.js';
import type { CatalogModel } from '../models/catalog.js';
import { CACHE_FORMAT } from './cached-answer.js';
import { canonicalJson } from '../text/canonical-json.js';

/** The longest a client may ask for: a day. */
const MAX_TTL_SECONDS = 86_400;

/** What the response cache is to do for one request. */
export interface CachePlan {
  /**
   * Of the user, the model with its targets (a reload may lead it elsewhere) and the whole request; of a stream another
   * than of a whole answer. Where a fallback may answer, also of the models that the token may use.
   */
  readonly key: string;
  readonly ttlMs: number;
}

/**
 * Whether a request may be answered from, and its answer kept in, the response cache.
 *
 * On for a model by its configuration, or for a request by `x-cache-ttl: <seconds>` (or `on`: the configured time); never
 * with `Cache-Control: no-store`, `no-cache` or `max-age=0`, nor with `x-cache-ttl: 0`. By configuration only requests
 * whose answer is meant to be the same again are cached (`isRepeatable`); a client that asks has decided for itself. No stream
 * of several choices.
 *
 * @param clientTtlMs  RESPONSE_CACHE_TTL_SECONDS: the time for `on`; 0 = clients may not ask
 * @returns `undefined` = bypass
 * @throws GatewayError `invalid_body` for an `x-cache-ttl` that is no time
 */
export function planCache(
  request: ChatRequest,
  headers: IncomingHttpHeaders,
  principal: Pick<Principal, 'userId' | 'models'>,
  model: CatalogModel,
  isStream: boolean,
  clientTtlMs: number,
): CachePlan | undefined {
  const askedMs = askedTtlMs(headers['x-cache-ttl'], clientTtlMs);
  if (forbidsCache(headers['cache-control'])) return undefined;
  // Its events tell how the first choice ended; of the others one may be cut, and would be given again as if it were whole.
  if (isStream && (request.n ?? 1) > 1) return undefined;
  const ttlMs = askedMs ?? (model.cache && isRepeatable(request) ? model.cache.ttlMs : 0);
  return ttlMs > 0 ? { key: cacheKey(request, principal, model, isStream), ttlMs } : undefined;
}

function askedTtlMs(header: string | string[] | undefined, clientTtlMs: number): number | undefined {
  if (header === undefined) return undefined;
  const seconds = typeof header === 'string' && /^\d{1,6}$/.test(header) ? Number(header) : Number.NaN;
  if (header !== 'on' && !(seconds <= MAX_TTL_SECONDS)) {
    throw new GatewayError(
      'invalid_body',
      `x-cache-ttl must be a number of seconds from 0 to ${MAX_TTL_SECONDS}, or on.`,
      {
        param: 'x-cache-ttl',
      },
    );
  }
  if (seconds === 0) return 0;
  if (clientTtlMs === 0) return undefined;
  return header === 'on' ? clientTtlMs : seconds * 1000;
}

function forbidsCache(cacheControl: string | undefined): boolean {
  if (cacheControl === undefined) return false;
  const directives = cacheControl.toLowerCase().split(',');
  return directives.some((directive) => /^\s*(no-store|no-cache|max-age\s*=\s*"?0+"?)\s*$/.test(directive));
}

/**
 * The client asked for the same answer again (temperature 0 or a seed), nothing outside the request goes into it (no web
 * search, no stored conversation, no image by URL), and nothing happens because of it (no tools to be called).
 */
function isRepeatable(request: ChatRequest): boolean {
  const isPinned = request.temperature === 0 || (request.seed !== undefined && request.seed !== null);
  const callsTools = (request.tools?.length ?? 0) > 0 || (request.functions?.length ?? 0) > 0;
  if (!isPinned || callsTools || request.web_search_options != null || request.store === true) return false;
  return !request.messages.some(({ content }) => Array.isArray(content) && content.some(isElsewhere));
}

/** The part's content is behind a URL, where it may change. */
function isElsewhere(part: { readonly type: string }): boolean {
  return part.type !== 'text' && hasAddress(part);
}

function hasAddress(value: unknown): boolean {
  if (typeof value === 'string') return /^(?:https?|gs):/i.test(value);
  return typeof value === 'object' && value !== null && Object.values(value).some(hasAddress);
}

function cacheKey(
  request: ChatRequest,
  { userId, models }: Pick<Principal, 'userId' | 'models'>,
  model: CatalogModel,
  isStream: boolean,
): string {
  const { stream: _stream, stream_options: _options, model: _name, ...rest } = request;
  const hash = createHash('sha256');
  for (const part of [
    String(CACHE_FORMAT),
    userId,
    model.id,
    JSON.stringify(
      model.targets.map(({ provider, baseUrl, upstreamModel }) => [provider, baseUrl, upstreamModel]),
    ),
    model.fallbacks.length > 0 ? JSON.stringify(models ?? null) : '',
    isStream ? 'stream' : 'whole',
    canonicalJson(rest),
  ]) {
    hash.update(`${part.length}:${part}`);
  }
  return hash.digest('base64url');
}
