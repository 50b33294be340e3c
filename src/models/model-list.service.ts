import { createHash } from 'node:crypto';
import { CACHE_MANAGER, type Cache } from '@nestjs/cache-manager';
import { Inject, Injectable, Optional } from '@nestjs/common';
import type { Principal } from '../auth/principal.js';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { Telemetry } from '../telemetry/telemetry.js';
import type { CatalogSnapshot } from './catalog.js';
import { allowedModels, isAllowed } from './allowed-models.js';
import { ModelCatalog, modelNotFound } from './model-catalog.service.js';
import { toModelObject } from './model-object.js';
import type { ModelObject } from './model-object.dto.js';

/** A cache that hangs costs a client at most this much; the answer is made from the catalogue then. */
const CACHE_PATIENCE_MS = 200;

/** The model list as a token sees it, kept in the cache for MODELS_CACHE_TTL_SECONDS. */
@Injectable()
export class ModelListService {
  /** Cache keys of a snapshot: another catalogue has other keys, so a reload shows at once and instances may differ. */
  readonly #fingerprints = new WeakMap<CatalogSnapshot, string>();

  constructor(
    private readonly catalog: ModelCatalog,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @Optional() @Inject(CACHE_MANAGER) private readonly cache?: Cache,
  ) {}

  /** Sorted by id; aliases are models of their own. */
  async list(principal: Principal): Promise<ModelObject[]> {
    const snapshot = this.catalog.snapshot();
    return this.#cached(`models:${this.#fingerprint(snapshot)}:${scopeOf(principal)}`, () =>
      allowedModels(principal, snapshot).map((model) => toModelObject(model, this.config.billing.currency)),
    );
  }

  /** @throws GatewayError  `model_not_found`, also for a model this token may not use: the list does not show it either */
  async get(name: string, principal: Principal): Promise<ModelObject> {
    const snapshot = this.catalog.snapshot();
    const model = snapshot.list().find(({ id }) => id === name) ?? snapshot.find(name);
    if (!model || !isAllowed(model, name, principal, snapshot))
      throw modelNotFound(name, principal, snapshot);
    return this.#cached(`model:${this.#fingerprint(snapshot)}:${digest(name)}`, () =>
      toModelObject(model, this.config.billing.currency),
    );
  }

  /** The cache is a shortcut, never a condition: whatever happens to it, the answer is made. */
  async #cached<Answer>(key: string, make: () => Answer): Promise<Answer> {
    const ttlMs = this.config.cache.modelsTtlMs;
    if (!this.cache || ttlMs === 0) return make();
    const found = await this.#patiently(this.cache.get<Answer>(key));
    if (found !== undefined && found !== null) {
      this.#told(found === FAILED ? 'error' : 'hit');
      return found === FAILED ? make() : found;
    }
    this.#told('miss');
    const answer = make();
    void this.#patiently(this.cache.set(key, answer, ttlMs));
    return answer;
  }

  async #patiently<Result>(operation: Promise<Result>): Promise<Result | typeof FAILED> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<typeof FAILED>((resolve) => {
      timer = setTimeout(() => resolve(FAILED), CACHE_PATIENCE_MS);
      timer.unref();
    });
    try {
      return await Promise.race([operation, patience]);
    } catch {
      return FAILED;
    } finally {
      clearTimeout(timer);
    }
  }

  #told(outcome: 'hit' | 'miss' | 'error'): void {
    this.telemetry.event({ kind: 'cache', cache: 'models', outcome });
  }

  #fingerprint(snapshot: CatalogSnapshot): string {
    const known = this.#fingerprints.get(snapshot);
    if (known !== undefined) return known;
    const content = snapshot.list().map((model) => toModelObject(model, this.config.billing.currency));
    const fingerprint = digest(JSON.stringify([content, this.config.version]));
    this.#fingerprints.set(snapshot, fingerprint);
    return fingerprint;
  }
}

const FAILED = Symbol('the cache failed');

/** Tokens with the same allow-list see the same list. */
function scopeOf(principal: Principal): string {
  return principal.models === undefined ? 'all' : digest(JSON.stringify(principal.models.toSorted()));
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
