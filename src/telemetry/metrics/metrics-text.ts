import cluster from 'node:cluster';
import type { Registry } from 'prom-client';
import type { Gauge, Telemetry } from '../telemetry.js';
import type { Aggregator, GatewayMetrics } from './gateway-metrics.js';
import { isMetricsMessage, type MetricsMessage } from './metrics-messages.js';
import { type PagePart, pageParts, pageTexts } from './page-parts.js';

/** Below Prometheus' own patience of 10 s, so that it hears why. */
const ANSWER_TIMEOUT_MS = 8_000;

const OWNERS_GAUGES = {
  holds_open: {
    name: 'llm_gateway_holds_open',
    help: 'Holds taken by this instance and not yet settled or released.',
    aggregator: 'sum',
  },
  journal_unsettled_records: {
    name: 'llm_gateway_journal_unsettled_records',
    help: 'Charges in the journal that the ledger does not have yet.',
    aggregator: 'sum',
  },
  journal_oldest_seconds: {
    name: 'llm_gateway_journal_oldest_seconds',
    help: 'Age of the oldest unsettled charge.',
    aggregator: 'max',
  },
  drains_active: {
    name: 'llm_gateway_drains_active',
    help: 'Upstream streams read to their end after the client left.',
    aggregator: 'sum',
  },
  streams_open: {
    name: 'llm_gateway_streams_open',
    help: 'Streams being sent to clients.',
    aggregator: 'sum',
  },
  outage_credit_used: {
    name: 'llm_gateway_outage_credit_used',
    help: 'Served on credit while the database is unavailable, in units of BILLING_CURRENCY.',
    aggregator: 'sum',
  },
  leased: {
    name: 'llm_gateway_leased',
    help: 'Reserved ahead for active users, in units of BILLING_CURRENCY.',
    aggregator: 'sum',
  },
  can_serve: {
    name: 'llm_gateway_can_serve',
    help: '0 while a critical component (database, billing journal) is down and /ready says 503; draining is not counted.',
    aggregator: 'min',
  },
} as const satisfies Record<Gauge['name'], { name: string; help: string; aggregator: Aggregator }>;

interface Asked {
  readonly texts: string[];
  readonly done: () => void;
}

/** The page of `/metrics`: this process's, or with several workers the sum over all of them. */
export class MetricsText {
  readonly #asked = new Map<number, Asked>();
  readonly #known = new Set<Gauge['name']>();
  readonly #registry: Registry;
  #nextId = 1;

  constructor(
    private readonly metrics: GatewayMetrics,
    private readonly telemetry: Telemetry,
    private readonly ipc: Pick<NodeJS.Process, 'on' | 'send'> | undefined = cluster.isWorker
      ? process
      : undefined,
  ) {
    this.#registry = metrics.registry;
    this.ipc?.on('message', (message: unknown) => void this.#received(message));
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /**
   * @returns the page in parts of whole lines, made in turns of a few milliseconds
   * @throws Error when the primary does not answer: a part of the sum would look like a restart to Prometheus
   */
  texts(): Promise<string[]> {
    this.#registerGauges();
    return this.ipc === undefined ? pageTexts(pageParts(this.#registry)) : this.#askPrimary(this.ipc);
  }

  /** The page as one text. */
  async metricsText(): Promise<string> {
    return (await this.texts()).join('');
  }

  #askPrimary(ipc: Pick<NodeJS.Process, 'send'>): Promise<string[]> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      const texts: string[] = [];
      const timer = setTimeout(() => {
        this.#asked.delete(id);
        reject(new Error('the primary process did not answer for the metrics'));
      }, ANSWER_TIMEOUT_MS);
      const done = () => {
        clearTimeout(timer);
        this.#asked.delete(id);
        resolve(texts);
      };
      this.#asked.set(id, { texts, done });
      ipc.send?.({ topic: 'gateway-metrics', kind: 'ask', id } satisfies MetricsMessage);
    });
  }

  async #received(message: unknown): Promise<void> {
    if (!isMetricsMessage(message)) return;
    if (message.kind === 'answer') this.#hears(this.#asked.get(message.id), message.text);
    if (message.kind === 'collect') await this.#tell(message.id);
  }

  #hears(asked: Asked | undefined, text: string | undefined): void {
    if (text === undefined) asked?.done();
    else asked?.texts.push(text);
  }

  async #tell(id: number): Promise<void> {
    this.#registerGauges();
    for await (const part of pageParts(this.#registry)) await this.#send(id, part);
    await this.#send(id, undefined);
  }

  /** Answers only when the part is on its way: connections come by the same channel. */
  #send(id: number, part: PagePart | undefined): Promise<void> {
    const message: MetricsMessage = { topic: 'gateway-metrics', kind: 'collected', id, part };
    return new Promise((sent) => this.ipc?.send?.(message, undefined, undefined, () => sent()));
  }

  /** Owners register their figures at boot, some of them after us. */
  #registerGauges(): void {
    for (const gauge of this.telemetry.gauges()) {
      if (this.#known.has(gauge.name)) continue;
      this.#known.add(gauge.name);
      this.metrics.readGauge(OWNERS_GAUGES[gauge.name], () => gauge.read());
    }
  }
}
