import type { CatalogModel, CatalogTarget } from '../models/catalog.js';
import type { Availability } from './target-availability.service.js';

/** The targets of one request in the order they are tried. Made by the route planner; never changed. */
export interface RoutePlan {
  readonly model: CatalogModel;
  readonly targets: readonly PlannedTarget[];
}

export interface PlannedTarget extends CatalogTarget {
  /** The catalogue model this target belongs to: the asked one, or a fallback. */
  readonly modelId: string;
  readonly reason: PlaceReason;
}

/** Why a target stands where it stands, as `explain=route` shows it. */
export type PlaceReason =
  | 'weight'
  | 'sticky'
  /** The first drawn was clearly slower. */
  | 'latency'
  | 'backup'
  | 'fallback'
  /** Put behind: it lacks what the request needs, or hardly has room for it, or is not worth asking now. */
  | 'capability'
  | 'context-window'
  | Exclude<Availability, 'ok'>;

/** Planned behind those that can do what the request needs, for the case that it is not needed after all. */
export function isUnfit({ reason }: PlannedTarget): boolean {
  return reason === 'capability' || reason === 'context-window';
}
