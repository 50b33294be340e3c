import { isMetadataHost } from '../../outbound/metadata-addresses.js';
import { isClosedName } from '../../providers/openai-compatible/closed-params.js';
import type { GatewayProvider } from '../gateway-config.js';
import type { RawEnvironment } from '../environment.js';
import { secretOf } from '../secret-files.js';
import type { ConfigNode } from './config-node.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/;
const HEADER_VALUE = /^[\x20-\x7e]{0,2000}$/;
/** Written by the client library, or by `api_key_env`. */
const RESERVED_HEADERS = new Set([
  'authorization',
  'host',
  'content-length',
  'content-type',
  'transfer-encoding',
  'connection',
  'accept-encoding',
]);
const MAX_HEADERS = 20;
const PARAM_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;
const MAX_ALLOWED_PARAMS = 100;

/** One entry of `providers:`. */
export function parseProvider(
  name: string,
  node: ConfigNode,
  builtIn: ReadonlySet<string>,
  env: RawEnvironment,
): GatewayProvider | undefined {
  const field = node.fields([
    'type',
    'base_url',
    'api_key_env',
    'api_key_header',
    'headers',
    'timeout_seconds',
    'options',
  ]);
  if (!NAME.test(name)) node.fault('must consist of 1 to 64 letters, digits, dots, dashes or underscores');
  if (builtIn.has(name)) node.fault('is the name of a built-in provider');
  field('type').text(/^openai-compatible$/, 'openai-compatible');
  const baseUrl = parseBaseUrl(field('base_url'));
  const key = field('api_key_env').isSet ? readKey(field('api_key_env'), env) : undefined;
  const keyHeader = field('api_key_header').isSet ? parseKeyHeader(field('api_key_header')) : undefined;
  if (keyHeader && !field('api_key_env').isSet) field('api_key_header').fault('needs api_key_env');
  const headers = parseHeaders(field('headers'));
  const timeoutMs = field('timeout_seconds').isSet
    ? field('timeout_seconds').seconds(0.05, 86_400)
    : undefined;
  if (baseUrl === undefined) return undefined;
  const sent = keyHeader && key !== undefined ? { ...headers, [keyHeader]: key } : headers;
  const options = parseOptions(field('options'));
  const settings = { baseUrl, apiKey: keyHeader ? undefined : key, headers: sent, options };
  return { name, type: 'openai-compatible', settings, timeoutMs };
}

/** Where servers of OpenAI's dialect differ. The defaults are those of a server of which nothing is known. */
function parseOptions(node: ConfigNode): Record<string, unknown> {
  const field = node.fields([
    'query',
    'output_limit_field',
    'takes_reasoning_content',
    'stream_usage',
    'cancel_stops_billing',
    'allowed_params',
  ]);
  const flag = (item: ConfigNode): boolean | undefined => (item.isSet ? item.flag() : undefined);
  const limitField = field('output_limit_field');
  const options = {
    query: field('query').isSet ? parseQuery(field('query')) : undefined,
    outputLimitField: limitField.isSet
      ? limitField.text(/^max_(completion_)?tokens$/, 'max_tokens or max_completion_tokens')
      : undefined,
    takesReasoningContent: flag(field('takes_reasoning_content')),
    streamUsage: flag(field('stream_usage')),
    cancelStopsBilling: flag(field('cancel_stops_billing')),
    allowedParams: field('allowed_params').isSet ? parseAllowedParams(field('allowed_params')) : undefined,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Fields of a request that are refused unless the operator knows what they do at his server. */
function parseAllowedParams(node: ConfigNode): string[] {
  const names: string[] = [];
  for (const item of node.items(MAX_ALLOWED_PARAMS) ?? []) {
    const name = item.text(PARAM_NAME, 'the name of a field');
    if (name === undefined) continue;
    if (isClosedName(name)) names.push(name);
    else item.fault('names a field that every provider gets anyway');
  }
  return names;
}

/** Query parameters of every call, e.g. Azure's `api-version`. */
function parseQuery(node: ConfigNode): Record<string, string> {
  const query: Record<string, string> = {};
  for (const [name, item] of node.entries(MAX_HEADERS)) {
    const value = item.text(HEADER_VALUE, 'one line of printable characters');
    if (!/^[A-Za-z0-9._-]{1,100}$/.test(name)) item.fault('is not the name of a query parameter');
    else if (value !== undefined) query[name] = value;
  }
  return query;
}

/** The variable's value. It never enters a message. */
function readKey(node: ConfigNode, env: RawEnvironment): string | undefined {
  const variable = node.text(VARIABLE, 'the name of an environment variable, never the key itself');
  if (variable === undefined) return undefined;
  const { value, fault } = secretOf(env, variable);
  if (fault !== undefined) return node.fault(`names a variable whose file ${fault}${named(variable)}`);
  const key = value?.trim();
  if (!key) return node.fault(`names a variable that is not set${named(variable)}`);
  if (!HEADER_VALUE.test(key))
    return node.fault(`names a variable whose value cannot be used in a header${named(variable)}`);
  return key;
}

/** Some keys look like a name, and have no business in a message: only what nobody would take for a key is shown. */
function named(variable: string): string {
  return variable.length <= 64 && /^[A-Z]+(_[A-Z0-9]+)+$/.test(variable) ? ` (${variable})` : '';
}

function parseKeyHeader(node: ConfigNode): string | undefined {
  const name = node.text(HEADER_NAME, 'the name of a header');
  return name?.toLowerCase();
}

function parseHeaders(node: ConfigNode): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, item] of node.entries(MAX_HEADERS)) {
    const value = item.text(HEADER_VALUE, 'one line of printable characters');
    if (!HEADER_NAME.test(name)) item.fault('is not the name of a header');
    else if (RESERVED_HEADERS.has(name.toLowerCase())) item.fault('is set by the gateway itself');
    else if (value !== undefined) headers[name.toLowerCase()] = value;
  }
  return headers;
}

function parseBaseUrl(node: ConfigNode): string | undefined {
  const text = node.text(/^https?:\/\/\S{1,2000}$/i, 'an address starting with http:// or https://');
  if (text === undefined) return undefined;
  if (!URL.canParse(text)) return node.fault('is not an address');
  const url = new URL(text);
  if (url.username || url.password) return node.fault('must not contain user or password; use api_key_env');
  if (url.search || url.hash) return node.fault('must not have a query or a fragment');
  if (/\/chat\/completions\/*$/.test(url.pathname))
    return node.fault('must end before /chat/completions, which the gateway adds');
  if (isMetadataHost(url.hostname)) return node.fault('must not be a metadata or unspecified address');
  return url.href.replace(/\/+$/, '');
}
