import type { Principal } from '../auth/principal.js';
import type { CatalogModel, CatalogSnapshot } from './catalog.js';

/** A token's list may name a model by its id or by any of its aliases. */
export function isAllowed(
  model: CatalogModel,
  name: string,
  principal: Principal,
  snapshot: CatalogSnapshot,
): boolean {
  if (principal.models === undefined) return true;
  return principal.models.some(
    (allowed) => allowed === name || allowed === model.root || snapshot.find(allowed)?.id === model.root,
  );
}

/** Of all that are listed. Each name of the token is looked up once: it may have hundreds, and the list thousands. */
export function allowedModels({ models }: Principal, snapshot: CatalogSnapshot): readonly CatalogModel[] {
  if (models === undefined) return snapshot.list();
  const names = new Set(models);
  const roots = new Set(models.flatMap((name) => snapshot.find(name)?.id ?? []));
  return snapshot.list().filter(({ id, root }) => names.has(id) || names.has(root) || roots.has(root));
}
