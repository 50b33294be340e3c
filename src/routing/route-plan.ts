import type { CatalogModel, CatalogTarget } from '../models/catalog.js';

/** The targets of one request in the order they are tried. Made by the route planner; never changed. */
export interface RoutePlan {
  readonly model: CatalogModel;
  readonly targets: readonly PlannedTarget[];
}

export interface PlannedTarget extends CatalogTarget {
  /** The catalogue model this target belongs to: the asked one, or a fallback. */
  readonly modelId: string;
  /** Why it stands where it stands: `weight`, `latency`, `sticky`, `fallback`, `capability`, `context-window`. For `explain=route`. */
  readonly reason: string;
}

/** Planned behind those that can do what the request needs, for the case that it is not needed after all. */
export function isUnfit({ reason }: PlannedTarget): boolean {
  return reason === 'capability' || reason === 'context-window';
}
