import { applyDecorators } from '@nestjs/common';
import { Expose, Transform } from 'class-transformer';
import { ValidateBy } from 'class-validator';

/** A text that is not what its variable asks for. Carries nothing: the text must not reach a message. */
class Unreadable {}

const UNREADABLE = new Unreadable();
const names = new Set<string>();

/** Every variable name declared with one of the decorators below. */
export function declaredNames(): readonly string[] {
  return [...names];
}

/**
 * One variable: how its text is read, and what to say when it cannot be.
 *
 * @param read  returns `UNREADABLE` for a text it refuses; it is never called for an unset variable
 */
function Variable(what: string, read: (text: string) => unknown): PropertyDecorator {
  const decorate = applyDecorators(
    Expose(),
    Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? read(value) : value)),
    ValidateBy({
      name: 'readable',
      validator: {
        validate: (value) => !(value instanceof Unreadable),
        defaultMessage: () => `must be ${what}`,
      },
    }),
  );
  return (target, property) => {
    names.add(String(property));
    decorate(target, property);
  };
}

/** A variable whose surrounding blanks mean nothing. */
function Trimmed(what: string, read: (text: string) => unknown): PropertyDecorator {
  return Variable(what, (text) => read(text.trim()));
}

/** Any text, to the last blank: secrets are compared with those of other programs. */
export function Text(): PropertyDecorator {
  return Variable('text', (text) => text);
}

export function Pattern(pattern: RegExp, what: string): PropertyDecorator {
  return Trimmed(what, (text) => (pattern.test(text) ? text : UNREADABLE));
}

export function Flag(): PropertyDecorator {
  const values = new Map([
    ...['true', '1', 'yes', 'on'].map((word) => [word, true] as const),
    ...['false', '0', 'no', 'off'].map((word) => [word, false] as const),
  ]);
  return Trimmed('true or false', (text) => values.get(text.toLowerCase()) ?? UNREADABLE);
}

/** A word of a closed list, in any case; `aliases` are further spellings of one of them. */
export function OneOf(
  words: readonly string[],
  aliases: Readonly<Record<string, string>> = {},
): PropertyDecorator {
  return Trimmed(`one of ${words.join(', ')}`, (text) => {
    const wanted = text.toLowerCase();
    return words.find((word) => word.toLowerCase() === wanted) ?? aliases[wanted] ?? UNREADABLE;
  });
}

export function Whole(least: number, most: number): PropertyDecorator {
  return Trimmed(`a whole number from ${least} to ${most}`, (text) =>
    within(/^\d{1,15}$/.test(text) ? Number(text) : Number.NaN, least, most),
  );
}

/** A number that may have a fraction: seconds, rates. */
export function Fractional(least: number, most: number, unit = ''): PropertyDecorator {
  return Trimmed(`a number${unit && ` of ${unit}`} from ${least} to ${most}`, (text) =>
    within(/^\d{1,12}(\.\d{1,12})?$/.test(text) ? Number(text) : Number.NaN, least, most),
  );
}

function within(value: number, least: number, most: number): number | Unreadable {
  return value >= least && value <= most ? value : UNREADABLE;
}

/** An exact decimal >= 0, kept as text: money never becomes a JavaScript number. */
export function DecimalText(fractionDigits: number, what: string): PropertyDecorator {
  const pattern = new RegExp(`^\\d{1,9}(\\.\\d{1,${fractionDigits}})?$`);
  return Trimmed(`${what}: a decimal of at most ${fractionDigits} fraction digits`, (text) =>
    pattern.test(text) ? text : UNREADABLE,
  );
}

const BYTES_OF_UNIT: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 2 ** 10,
  mb: 2 ** 20,
  gb: 2 ** 30,
};

/** A size such as `10mb`, read to bytes. */
export function Size(leastBytes: number, mostBytes: number): PropertyDecorator {
  return Trimmed(
    `a size such as 512kb or 10mb, from ${leastBytes} bytes to ${mostBytes / 2 ** 20}mb`,
    (text) => {
      const [, figure, unit] = /^(\d{1,12}(?:\.\d{1,3})?)\s*([kmg]?b?)$/i.exec(text) ?? [];
      if (figure === undefined || unit === undefined) return UNREADABLE;
      const letter = unit.toLowerCase();
      return within(
        Math.floor(Number(figure) * (BYTES_OF_UNIT[letter] ?? BYTES_OF_UNIT[`${letter}b`] ?? Number.NaN)),
        leastBytes,
        mostBytes,
      );
    },
  );
}

/** An absolute address with one of the schemes, without credentials unless they are part of the form (databases). */
export function Address(
  schemes: readonly string[],
  options: { credentials?: boolean } = {},
): PropertyDecorator {
  return Trimmed(
    `an address starting with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}${options.credentials ? '' : ', without user and password'}`,
    (text) => (isAddress(text, schemes, options.credentials ?? false) ? text : UNREADABLE),
  );
}

function isAddress(text: string, schemes: readonly string[], credentials: boolean): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (!schemes.includes(url.protocol.slice(0, -1))) return false;
  return credentials || (url.username === '' && url.password === '');
}

/** A Redis address, or the path of its unix socket. */
export function RedisAddress(): PropertyDecorator {
  return Trimmed('an address starting with redis:// or rediss://, or the path of a unix socket', (text) =>
    text.startsWith('/') || isAddress(text, ['redis', 'rediss'], true) ? text : UNREADABLE,
  );
}

/** A JSON array of texts or a comma list, read to an array without blanks and repeats. */
export function List(what: string, accepts: (item: string) => boolean): PropertyDecorator {
  return Trimmed(`${what}, as a JSON array or a comma list`, (text) => {
    const items = readList(text);
    return items?.every(accepts) ? [...new Set(items)] : UNREADABLE;
  });
}

function readList(text: string): string[] | undefined {
  const items: unknown = text.startsWith('[') ? parseJson(text) : text.split(',');
  if (!Array.isArray(items) || !items.every((item): item is string => typeof item === 'string'))
    return undefined;
  return items.map((item) => item.trim()).filter((item) => item !== '');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `1`, a number, or `auto` (read to 0). */
export function Workers(): PropertyDecorator {
  return Trimmed('a whole number from 1 to 256, or auto', (text) =>
    text.toLowerCase() === 'auto' ? 0 : within(/^\d{1,3}$/.test(text) ? Number(text) : Number.NaN, 1, 256),
  );
}
