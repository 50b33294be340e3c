import type { ExecutionContext } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';

/** Handler and class, where decorators may stand: the nearer one wins. */
export type Decorated = Parameters<Reflector['getAllAndOverride']>[1];

/**
 * What the decorators of a route say, read once.
 *
 * By class and handler: a handler may be inherited by classes with other decorators.
 */
export class RouteMemory<Rules extends object> {
  readonly #known = new WeakMap<object, WeakMap<object, Rules>>();

  constructor(private readonly read: (decorated: Decorated) => Rules) {}

  of(context: ExecutionContext): Rules {
    const handler = context.getHandler();
    const controller = context.getClass();
    let ofClass = this.#known.get(controller);
    if (!ofClass) this.#known.set(controller, (ofClass = new WeakMap()));
    let rules = ofClass.get(handler);
    if (!rules) ofClass.set(handler, (rules = this.read([handler, controller])));
    return rules;
  }
}
