import type { PagePart } from './page-parts.js';

/** What primary and workers say to each other about metrics over the cluster's IPC channel. A page comes in parts. */
export type MetricsMessage =
  /** worker -> primary: somebody asked me for `/metrics` */
  | { readonly topic: 'gateway-metrics'; readonly kind: 'ask'; readonly id: number }
  /** primary -> worker: the next part of the sum over all workers; without one, that was all */
  | {
      readonly topic: 'gateway-metrics';
      readonly kind: 'answer';
      readonly id: number;
      readonly text: string | undefined;
    }
  /** primary -> worker: tell me yours */
  | { readonly topic: 'gateway-metrics'; readonly kind: 'collect'; readonly id: number }
  /** worker -> primary: the next part of mine; without one, that was all */
  | {
      readonly topic: 'gateway-metrics';
      readonly kind: 'collected';
      readonly id: number;
      readonly part: PagePart | undefined;
    };

export function isMetricsMessage(message: unknown): message is MetricsMessage {
  return (
    typeof message === 'object' &&
    message !== null &&
    'topic' in message &&
    message.topic === 'gateway-metrics'
  );
}
