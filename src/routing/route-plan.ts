import type { CatalogModel, CatalogTarget } from '../models/catalog.js';
import type { Availability } from './target-availability.service.js';

/** The targets of one request, in the order in which they are tried. Made by the route planner; never changed. */
export interface RoutePlan {
  readonly model: CatalogModel;
  readonly targets: readonly PlannedTarget[];
}

export interface PlannedTarget extends CatalogTarget {
  /** The model that this target belongs to: the asked one, or a fallback. */
  readonly modelId: string;
  readonly reason: PlaceReason;
}

/** Why a target has its place, as `explain=route` shows it. */
export type PlaceReason =
  | 'weight'
  | 'sticky'
  /** The first one drawn was clearly slower. */
  | 'latency'
  | 'backup'
  | 'fallback'
  /** Put behind: it lacks what the request needs, hardly has room for it, or is not worth asking now. */
  | 'capability'
  | 'context-window'
  | Exclude<Availability, 'ok'>;

/** It seems unable to serve the request, and stands behind those that can, in case it is able after all. */
export function isUnfit({ reason }: PlannedTarget): boolean {
  return reason === 'capability' || reason === 'context-window';
}
