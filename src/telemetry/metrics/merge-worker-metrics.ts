import { figure, type Family, type PagePart } from './page-parts.js';
import { ShortTurns } from './short-turns.js';

/** One line of several workers: its figure, and what its aggregator must know besides (how many, or when it was seen). */
interface Row {
  value: number;
  besides: number;
}

interface MergedFamily {
  readonly family: Family;
  /** By the line without its figure. */
  readonly rows: Map<string, Row>;
}

type Join = (row: Row, value: number, seenAt: number) => void;

const JOINS: Readonly<Record<string, Join>> = {
  sum: (row, value) => void (row.value += value),
  max: (row, value) => void (row.value = Math.max(row.value, value)),
  min: (row, value) => void (row.value = Math.min(row.value, value)),
  first: () => undefined,
  average(row, value) {
    row.besides += 1;
    row.value += (value - row.value) / row.besides;
  },
  latest(row, value, seenAt) {
    if (seenAt > row.besides) Object.assign(row, { value, besides: seenAt });
  },
};

const PART_ROWS = 300;

/**
 * Several workers' pages -> one: sums, or what each metric's aggregator says; of a balance the latest sight.
 * The primary hands connections to the workers meanwhile, so this is done in short turns.
 */
export class MergedPage {
  readonly #families = new Map<string, MergedFamily>();
  readonly #turns = new ShortTurns();

  async add(parts: Iterable<PagePart>): Promise<void> {
    for (const part of parts) {
      this.#addPart(part);
      await this.#turns.pause();
    }
  }

  /**
   * What dead workers leave behind: their counts, so that sums never fall (Prometheus would read a fall as a restart and
   * count everything again). Their gauges died with them.
   */
  addCounts(parts: readonly PagePart[]): Promise<void> {
    return this.add(parts.filter(({ family }) => family.type === 'counter' || family.type === 'histogram'));
  }

  async *parts(): AsyncGenerator<PagePart> {
    for (const { family, rows } of this.#families.values()) {
      let lines = '';
      let count = 0;
      for (const [start, { value }] of rows) {
        lines += `${start} ${figure(value)}\n`;
        if (++count % PART_ROWS !== 0) continue;
        yield { family, lines };
        lines = '';
        await this.#turns.pause();
      }
      yield { family, lines };
    }
  }

  #addPart({ family, lines, seenAt }: PagePart): void {
    const aggregator = seenAt ? 'latest' : family.aggregator;
    const join = JOINS[aggregator];
    // `omit`: of no use as a sum
    if (!join) return;
    const { rows } = this.#family(family);
    for (const [index, line] of lines.split('\n').entries()) {
      if (line === '') continue;
      const end = line.lastIndexOf(' ');
      const start = line.slice(0, end);
      const value = numberOf(line.slice(end + 1));
      const row = rows.get(start);
      if (row) join(row, value, seenAt?.[index] ?? 0);
      else rows.set(start, { value, besides: seenAt?.[index] ?? 1 });
    }
  }

  #family(family: Family): MergedFamily {
    let known = this.#families.get(family.name);
    if (!known) this.#families.set(family.name, (known = { family, rows: new Map() }));
    return known;
  }
}

function numberOf(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  return text === '-Inf' ? Number.NEGATIVE_INFINITY : Number(text);
}
