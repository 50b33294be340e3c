import { isWildcard, MODEL_NAME } from '../config/gateway-file/parse-model.js';
import type { CatalogModel, CatalogSnapshot, CatalogTarget } from './catalog.js';
import { hasUnpricedSearch } from './untold-searches.js';

/** A catalogue at one moment: lookups by id, alias and wildcard. Made by `buildCatalog`, never changed. */
export class Snapshot implements CatalogSnapshot {
  readonly #byName = new Map<string, CatalogModel>();
  /** Longest beginning first. */
  readonly #wildcards: readonly CatalogModel[];
  readonly #list: readonly CatalogModel[];
  readonly #targets: readonly CatalogTarget[];

  /** @param aliases  alias -> id of one of the models, or a name under a wildcard */
  constructor(
    models: readonly CatalogModel[],
    aliases: ReadonlyMap<string, string>,
    private readonly isBilled = true,
  ) {
    this.#targets = models.flatMap(({ targets }) => targets);
    this.#wildcards = models
      .filter((model) => isWildcard(model.id))
      .toSorted((left, right) => right.id.length - left.id.length);
    for (const model of models) if (!isWildcard(model.id)) this.#byName.set(model.id, model);
    const roots = [...this.#byName.values()];
    const named: CatalogModel[] = [];
    for (const [alias, id] of aliases) {
      const model = this.find(id);
      if (!model) continue;
      this.#byName.set(alias, model);
      named.push({ ...model, id: alias, root: model.id, aliases: [] });
    }
    const shown = new Map([...roots, ...named].map((model) => [model.id, model]));
    this.#list = Object.freeze([...shown.values()].toSorted((left, right) => (left.id < right.id ? -1 : 1)));
  }

  find(name: string): CatalogModel | undefined {
    return this.#byName.get(name) ?? this.#underWildcard(name);
  }

  list(): readonly CatalogModel[] {
    return this.#list;
  }

  leadsTo(provider: string, upstreamModel: string): boolean {
    return this.#targets.some((target) => target.provider === provider && isMeant(target, upstreamModel));
  }

  #underWildcard(name: string): CatalogModel | undefined {
    const wildcard = this.#wildcards.find(
      (model) => name.length >= model.id.length && name.startsWith(model.id.slice(0, -1)),
    );
    // The rest is the client's text and goes into a provider's address or body: only what a model may be called.
    if (!wildcard || !MODEL_NAME.test(name) || name.includes('..') || name.includes('//')) return undefined;
    const model = concrete(wildcard, name);
    if (!this.isBilled || !model.targets.some(hasUnpricedSearch)) return model;
    const targets = model.targets.filter((target) => !hasUnpricedSearch(target));
    return targets.length > 0 ? { ...model, targets } : undefined;
  }
}

/** The model that `name` means under a wildcard. Prices do not depend on the rest, so no new price version appears. */
function concrete(wildcard: CatalogModel, name: string): CatalogModel {
  const rest = name.slice(wildcard.id.length - 1);
  const targets = wildcard.targets.map((target) => ({
    ...target,
    upstreamModel: target.upstreamModel.slice(0, -1) + rest,
  }));
  return { ...wildcard, id: name, root: name, targets };
}

function isMeant(target: CatalogTarget, upstreamModel: string): boolean {
  if (!isWildcard(target.upstreamModel)) return target.upstreamModel === upstreamModel;
  return upstreamModel.startsWith(target.upstreamModel.slice(0, -1));
}
