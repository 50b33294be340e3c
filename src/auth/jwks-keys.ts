import { createPublicKey, type KeyObject, type webcrypto } from 'node:crypto';
import { GatheredBytes } from '@app/bytes';
import { GatewayError } from '@app/contracts';
import { Agent, fetch } from 'undici';
import { lookupOutbound } from '../outbound/metadata-addresses.js';
import { refusal } from './bearer-token.js';

export type JwksAlgorithm = 'RS256' | 'ES256';

/** A set is asked for again when it is older, in the background: nobody waits for it. */
const FRESH_MS = 10 * 60_000;
/** The identity provider may be away this long before its tokens are refused (503). */
const USABLE_MS = 24 * 3_600_000;
/** Whatever tokens arrive, the identity provider is asked at most this often. */
const COOLDOWN_MS = 10_000;
const FETCH_TIMEOUT_MS = 5000;
const MAX_SET_BYTES = 1024 * 1024;
const LEAST_RSA_BITS = 2048;

type Jwk = webcrypto.JsonWebKey & { readonly kid?: unknown };

interface VerifyingKey {
  readonly kid: string | undefined;
  readonly algorithm: JwksAlgorithm;
  readonly key: KeyObject;
}

/**
 * The public keys of an identity provider. They come from the configured address alone, never from a token.
 * An unknown `kid` has the set fetched again, so a rotated key works at once; a fetch that fails keeps the keys it has.
 */
export class JwksKeys {
  #keys: readonly VerifyingKey[] | undefined;
  #fetchedAtMs = Number.NEGATIVE_INFINITY;
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #failed = false;
  #running: Promise<void> | undefined;

  /** @param nowMs  a monotonic clock */
  constructor(
    private readonly url: string,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /**
   * @throws GatewayError  `invalid_token` when the set has no such key, `auth_unavailable` when the set cannot be had
   */
  async keyFor(kid: string | undefined, algorithm: JwksAlgorithm): Promise<KeyObject> {
    const age = this.nowMs() - this.#fetchedAtMs;
    if (age > USABLE_MS) await this.#refresh();
    else if (age > FRESH_MS) void this.#refresh();
    let key = this.#find(kid, algorithm);
    if (!key) {
      await this.#refresh();
      key = this.#find(kid, algorithm);
    }
    if (key) return key;
    if (this.#failed)
      throw new GatewayError(
        'auth_unavailable',
        'Tokens cannot be verified at the moment. Try again later.',
        {
          retryAfterMs: COOLDOWN_MS,
        },
      );
    throw refusal('invalid_token', 'The token is signed with an unknown key.');
  }

  /** Without a `kid` only the one key of its kind will do. */
  #find(kid: string | undefined, algorithm: JwksAlgorithm): KeyObject | undefined {
    if (this.nowMs() - this.#fetchedAtMs > USABLE_MS) return undefined;
    const candidates = (this.#keys ?? []).filter(
      (key) => key.algorithm === algorithm && (kid === undefined || key.kid === kid),
    );
    return kid === undefined && candidates.length > 1 ? undefined : candidates[0]?.key;
  }

  /** One fetch at a time, and none within the cooldown. Never rejects. */
  #refresh(): Promise<void> {
    if (this.#running) return this.#running;
    if (this.nowMs() - this.#triedAtMs < COOLDOWN_MS) return Promise.resolve();
    this.#triedAtMs = this.nowMs();
    this.#running = this.#fetch().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #fetch(): Promise<void> {
    try {
      const keys = (await fetchSet(this.url)).flatMap((jwk) => toVerifyingKey(jwk) ?? []);
      if (keys.length === 0) throw new Error('the set has no key for RS256 or ES256');
      this.#keys = keys;
      this.#fetchedAtMs = this.nowMs();
      this.#failed = false;
    } catch {
      this.#failed = true;
    }
  }
}

/** Pins each key to the one algorithm it is for. Of a set with keys for other purposes, or that nobody can read, the rest is used. */
function toVerifyingKey(jwk: Jwk): VerifyingKey | undefined {
  const { kid, alg, use = 'sig' } = jwk;
  if (use !== 'sig' || 'd' in jwk) return undefined;
  const key = readKey(jwk);
  const algorithm = key && algorithmOf(key);
  if (!algorithm || (alg && alg !== algorithm)) return undefined;
  return { kid: typeof kid === 'string' ? kid : undefined, algorithm, key };
}

function readKey(jwk: Jwk): KeyObject | undefined {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    return undefined;
  }
}

function algorithmOf(key: KeyObject): JwksAlgorithm | undefined {
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'rsa' && modulusLength >= LEAST_RSA_BITS) return 'RS256';
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') return 'ES256';
  return undefined;
}

const dispatcher = new Agent({ connect: { timeout: FETCH_TIMEOUT_MS, lookup: lookupOutbound } });

/** No redirects: the address was configured, not the one it points to. */
async function fetchSet(url: string): Promise<Jwk[]> {
  const signal = AbortSignal.timeout(FETCH_TIMEOUT_MS);
  const response = await fetch(url, { dispatcher, redirect: 'error', signal });
  if (!response.ok || !response.body) throw new Error(`the key set answers ${response.status}`);
  const bytes = new GatheredBytes();
  for await (const chunk of response.body) {
    bytes.add(chunk);
    if (bytes.length > MAX_SET_BYTES) throw new Error('the key set is too large');
  }
  const set: unknown = JSON.parse(bytes.take().toString('utf8'));
  const keys: unknown = typeof set === 'object' && set !== null ? Reflect.get(set, 'keys') : undefined;
  if (!Array.isArray(keys)) throw new Error('the key set has no keys');
  return keys.filter((key): key is Jwk => typeof key === 'object' && key !== null);
}
