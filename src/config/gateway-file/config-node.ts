import { meantName } from '../misspelt-names.js';

/** Where something stands in the file, as a reader would write it: `models.small.targets[0].provider`. */
export function pathOf(parent: string, key: string): string {
  const part = /^[A-Za-z_][\w-]*$/.test(key) ? key : `["${printable(key)}"]`;
  if (parent === '') return part;
  return part.startsWith('[') ? parent + part : `${parent}.${part}`;
}

/** A name from the file that may be shown: no control characters, no novel. */
export function printable(text: string): string {
  const line = text.replace(/[^\x20-\x7e]|["\\]/g, '?');
  return line.length > 80 ? `${line.slice(0, 77)}...` : line;
}

/**
 * One place of the file: its path, its value, and the list that faults go to.
 * Every reader answers `undefined` for a value it refuses, after saying why; nothing throws, so that all faults are found.
 * All scalars are texts (YAML's failsafe schema): a price is never a float, a model called `1.0` or `no` keeps its name.
 */
export class ConfigNode {
  constructor(
    readonly path: string,
    readonly value: unknown,
    private readonly faults: string[],
  ) {}

  get isSet(): boolean {
    return this.value !== undefined;
  }

  fault(what: string): undefined {
    this.faults.push(`${this.path}: ${what}`);
    return undefined;
  }

  /** The entries of a mapping with free keys. */
  entries(most: number): [string, ConfigNode][] {
    const map = this.#mapping();
    if (map.size > most) {
      this.fault(`must have at most ${most} entries`);
      return [];
    }
    return [...map].map(([key, value]) => [key, new ConfigNode(pathOf(this.path, key), value, this.faults)]);
  }

  /** A mapping with a closed list of keys: `field(key)` reads one, every other key is a fault. */
  fields<Key extends string>(known: readonly Key[]): (key: Key) => ConfigNode {
    const map = this.#mapping();
    for (const key of map.keys()) {
      if (!known.some((name) => name === key)) {
        const meant = meantName(key, known);
        const question = meant === undefined ? '' : `; did you mean ${meant}?`;
        this.faults.push(
          `${pathOf(this.path, key)}: is not a known key${question} (known: ${known.join(', ')})`,
        );
      }
    }
    return (key) => new ConfigNode(pathOf(this.path, key), map.get(key), this.faults);
  }

  #mapping(): Map<string, unknown> {
    const texts = new Map<string, unknown>();
    if (!this.isSet) return texts;
    if (!(this.value instanceof Map)) {
      this.fault('must be a mapping ({} is an empty one)');
      return texts;
    }
    for (const [key, value] of this.value) {
      if (typeof key === 'string' && key !== '') texts.set(key, value);
      else this.fault('has a key that is not text');
    }
    return texts;
  }

  items(most: number): ConfigNode[] | undefined {
    if (!Array.isArray(this.value)) return this.fault('must be a list');
    if (this.value.length === 0 || this.value.length > most)
      return this.fault(`must have 1 to ${most} entries`);
    return this.value.map((item, index) => new ConfigNode(`${this.path}[${index}]`, item, this.faults));
  }

  text(pattern: RegExp, what: string): string | undefined {
    if (typeof this.value === 'string' && pattern.test(this.value)) return this.value;
    return this.fault(this.isSet ? `must be ${what}` : `is required: ${what}`);
  }

  wholeNumber(least: number, most: number): number | undefined {
    const number =
      typeof this.value === 'string' && /^\d{1,15}$/.test(this.value) ? Number(this.value) : Number.NaN;
    if (number >= least && number <= most) return number;
    return this.fault(`must be a whole number from ${least} to ${most}`);
  }

  /** Seconds, with a fraction if need be, read to milliseconds. */
  seconds(least: number, most: number): number | undefined {
    const seconds =
      typeof this.value === 'string' && /^\d{1,9}(\.\d{1,3})?$/.test(this.value)
        ? Number(this.value)
        : Number.NaN;
    if (seconds >= least && seconds <= most) return Math.round(seconds * 1000);
    return this.fault(`must be a number of seconds from ${least} to ${most}`);
  }

  flag(): boolean | undefined {
    if (this.value === 'true') return true;
    if (this.value === 'false') return false;
    return this.fault('must be true or false');
  }
}
