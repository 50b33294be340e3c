import type { Metric, Registry } from 'prom-client';
import { labelText } from './label-text.js';

/** prom-client's labels of one series. */
export type Labels<Name extends string> = Readonly<Record<Name, string>>;

/**
 * Counters and histograms for what every request touches. prom-client's own look the series up by its labels on every
 * step, which costs more than the step; here whoever counts holds the series itself.
 * On the page they are the same.
 */
export abstract class FastMetric<Name extends string, Series> {
  readonly aggregator = 'sum';
  abstract readonly type: 'counter' | 'histogram';
  readonly #series = new Map<string, KnownSeries<Name, Series>>();

  constructor(
    readonly name: string,
    readonly help: string,
    readonly labelNames: readonly Name[],
    registry: Registry,
  ) {
    registry.removeSingleMetric(name);
    // The registry asks a metric for its name, and for `get()` when the page is made; nothing else is needed of it.
    registry.registerMetric(this as unknown as Metric<Name>);
  }

  /** The series of these labels; made on first use. Hold it rather than ask again. */
  series(labels: Labels<Name>): Series {
    const key = this.labelNames.map((name) => labels[name]).join('\u0000');
    let known = this.#series.get(key);
    if (!known) {
      const text = labelText(this.labelNames.map((name) => [name, labels[name]]));
      this.#series.set(key, (known = { labels: { ...labels }, text, series: this.create() }));
    }
    return known.series;
  }

  /** The page's lines, a series at a time; what one is made of was read at one moment. */
  *lines(): Generator<string> {
    for (const { text, series } of this.#series.values()) yield this.write(text, series);
  }

  async get() {
    const values = [...this.#series.values()].flatMap(({ labels, series }) => this.samples(labels, series));
    return { name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values };
  }

  /** Called by the registry and by tests. */
  reset(): void {
    this.#series.clear();
  }

  protected abstract create(): Series;
  protected abstract samples(labels: Labels<Name>, series: Series): Sample[];
  /** @param labels  as they stand on the page, written once: there are tens of thousands of lines */
  protected abstract write(labels: string, series: Series): string;
}

interface KnownSeries<Name extends string, Series> {
  readonly labels: Labels<Name>;
  readonly text: string;
  readonly series: Series;
}

interface Sample {
  readonly value: number;
  readonly labels: Record<string, string | number>;
  readonly metricName?: string;
}

export class CounterSeries {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  /** @param amount  anything that is not a number >= 0 is ignored: a counter never falls */
  add(amount = 1): void {
    if (amount > 0) this.#value += amount;
  }
}

export class FastCounter<Name extends string> extends FastMetric<Name, CounterSeries> {
  readonly type = 'counter';

  /** For what is counted rarely. */
  add(labels: Labels<Name>, amount = 1): void {
    this.series(labels).add(amount);
  }

  protected create(): CounterSeries {
    return new CounterSeries();
  }

  protected samples(labels: Labels<Name>, series: CounterSeries): Sample[] {
    return [{ labels: { ...labels }, value: series.value }];
  }

  protected write(labels: string, series: CounterSeries): string {
    return `${this.name}{${labels}} ${series.value}\n`;
  }
}

export class HistogramSeries {
  /** One more than there are bounds: the last counts what is beyond them. */
  readonly counts: number[];
  sum = 0;

  constructor(private readonly bounds: readonly number[]) {
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  /** @param value  anything that is not a number >= 0 is ignored */
  observe(value: number): void {
    if (!(value >= 0)) return;
    let index = 0;
    while (index < this.bounds.length && value > (this.bounds[index] ?? 0)) index++;
    this.counts[index] = (this.counts[index] ?? 0) + 1;
    this.sum += value;
  }
}

export class FastHistogram<Name extends string> extends FastMetric<Name, HistogramSeries> {
  readonly type = 'histogram';
  /** How the line of each bucket begins. */
  readonly #buckets: readonly string[];

  /** @param bounds  upper bounds of the buckets, ascending */
  constructor(
    name: string,
    help: string,
    labelNames: readonly Name[],
    private readonly bounds: readonly number[],
    registry: Registry,
  ) {
    super(name, help, labelNames, registry);
    this.#buckets = [...bounds, '+Inf'].map((le) => `${name}_bucket{le="${le}",`);
  }

  protected create(): HistogramSeries {
    return new HistogramSeries(this.bounds);
  }

  protected samples(labels: Labels<Name>, series: HistogramSeries): Sample[] {
    let count = 0;
    const buckets = series.counts.map((own, index) => {
      count += own;
      const le = this.bounds[index] ?? '+Inf';
      return { labels: { le, ...labels }, value: count, metricName: `${this.name}_bucket` };
    });
    return [
      ...buckets,
      { labels: { ...labels }, value: series.sum, metricName: `${this.name}_sum` },
      { labels: { ...labels }, value: count, metricName: `${this.name}_count` },
    ];
  }

  protected write(labels: string, series: HistogramSeries): string {
    let count = 0;
    let lines = '';
    for (const [index, own] of series.counts.entries()) {
      count += own;
      lines += `${this.#buckets[index]}${labels}} ${count}\n`;
    }
    return `${lines}${this.name}_sum{${labels}} ${series.sum}\n${this.name}_count{${labels}} ${count}\n`;
  }
}
