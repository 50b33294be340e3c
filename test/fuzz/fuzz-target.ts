import type { IAsyncPropertyWithHooks, IPropertyWithHooks } from 'fast-check';

/** One thing that is given hostile input. */
export interface FuzzTarget {
  readonly name: string;
  /** What must hold whatever comes. */
  readonly promise: string;
  /** Runs of the short form that the unit tests do. */
  readonly shortRuns: number;
  /** Made anew for each run, so that the code under test is loaded only when it is wanted. */
  property(): Promise<FuzzProperty>;
}

/** fast-check's properties; what they generate is of no interest to who runs them. */
// oxlint-disable-next-line typescript/no-explicit-any -- the type parameter is invariant: `unknown` fits no property
export type FuzzProperty = IPropertyWithHooks<any> | IAsyncPropertyWithHooks<any>;
