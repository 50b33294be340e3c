import type { PlainMetric } from './merge-worker-metrics.js';

/** What primary and workers say to each other about metrics over the cluster's IPC channel. */
export type MetricsMessage =
  /** worker -> primary: somebody asked me for `/metrics` */
  | { readonly topic: 'gateway-metrics'; readonly kind: 'ask'; readonly id: number }
  /** primary -> worker: the sum over all workers */
  | { readonly topic: 'gateway-metrics'; readonly kind: 'answer'; readonly id: number; readonly text: string }
  /** primary -> worker: tell me yours */
  | { readonly topic: 'gateway-metrics'; readonly kind: 'collect'; readonly id: number }
  /** worker -> primary */
  | {
      readonly topic: 'gateway-metrics';
      readonly kind: 'collected';
      readonly id: number;
      readonly metrics: readonly PlainMetric[];
    };

export function isMetricsMessage(message: unknown): message is MetricsMessage {
  return (
    typeof message === 'object' &&
    message !== null &&
    'topic' in message &&
    message.topic === 'gateway-metrics'
  );
}
