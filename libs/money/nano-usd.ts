/**
 * An amount of money in nano-units (1e-9) of the operator's currency, dollars by default. Exact: an integer, never a float.
 * One account holds up to 9.2e9 units of currency (int8 in Postgres).
 */
export type NanoUsd = bigint;

export const NANO_PER_UNIT = 1_000_000_000n;
/** Prices are finer than amounts: pico-units (1e-12), see price-card.ts. */
export const PICO_PER_NANO = 1000n;
/** The largest amount that Postgres' int8 holds. */
export const MAX_NANO = 9_223_372_036_854_775_807n;

/** A text or number that is no exact amount of money. The message names the fault, never the value. */
export class InvalidAmountError extends RangeError {
  override readonly name = 'InvalidAmountError';
}

const PLAIN_DECIMAL = /^([+-]?)(\d{1,30})(?:\.(\d{1,30}))?$/;

/**
 * Reads a plain decimal (`95.5`, `-0.002`, `10`) exactly.
 *
 * @throws InvalidAmountError  not a plain decimal, more than nine decimals, or beyond what one account can hold
 */
export function parseDecimalToNano(text: string): NanoUsd {
  const match = PLAIN_DECIMAL.exec(text);
  if (!match) throw new InvalidAmountError('amount must be a plain decimal such as 12.5');
  const [, sign, whole = '0', fraction = ''] = match;
  const digits = fraction.replace(/0+$/, '');
  if (digits.length > 9) throw new InvalidAmountError('amount has more than 9 decimals');
  const amount = BigInt(whole) * NANO_PER_UNIT + BigInt(digits.padEnd(9, '0'));
  if (amount > MAX_NANO) throw new InvalidAmountError('amount is too large');
  return sign === '-' ? -amount : amount;
}

/**
 * Reads an amount from JSON, where it may be a decimal string or a number. A number carries about 15 exact digits,
 * so one that has more is refused instead of silently rounded.
 *
 * @throws InvalidAmountError
 */
export function parseAmount(value: unknown): NanoUsd {
  if (typeof value === 'string') return parseDecimalToNano(value.trim());
  if (typeof value !== 'number') throw new InvalidAmountError('amount must be a decimal');
  const text = String(value);
  if (text.replace(/\D/g, '').length > 15)
    throw new InvalidAmountError('amount has more digits than a JSON number can hold; send it as a string');
  return parseDecimalToNano(expandExponent(text));
}

/** Exact decimal without trailing zeros: `95.5`, `-0.000000001`, `0`. */
export function formatNano(amount: NanoUsd): string {
  return formatScaled(amount, 9);
}

/** Exact decimal of a price in pico-units per token, per million tokens. */
export function formatPicoPerMillion(price: bigint): string {
  return formatScaled(price, 6);
}

/** Exact decimal of a pico amount, without trailing zeros: what a line of a receipt comes to before rounding. */
export function formatPico(pico: bigint): string {
  return formatScaled(pico, 12);
}

/** Pico (>= 0) to nano, rounded up: a charge is rounded once, and never below its cost. */
export function ceilPicoToNano(pico: bigint): NanoUsd {
  return (pico + PICO_PER_NANO - 1n) / PICO_PER_NANO;
}

export function larger(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}

export function smaller(left: bigint, right: bigint): bigint {
  return left < right ? left : right;
}

/** What `JSON.stringify` writes as the bare literal it was made from. */
export interface ExactJsonNumber {
  readonly rawJSON: string;
}

/** A plain decimal as the JSON number it is. Part of the runtime (V8 since 11.4), not yet of TypeScript's library. */
export const exactJsonLiteral = (JSON as unknown as { rawJSON(decimal: string): ExactJsonNumber }).rawJSON;

/**
 * The amount as a JSON number with every digit: an account has up to 19, a double holds 15 to 17. Readers that parse
 * numbers into doubles round on their side only.
 */
export function exactJsonNumber(amount: NanoUsd): ExactJsonNumber {
  return exactJsonLiteral(formatNano(amount));
}

const ZERO = 0x30;

/** Without a regular expression: every answer has its cost in a header, and its log line. */
function formatScaled(value: bigint, decimals: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(decimals + 1, '0');
  const point = digits.length - decimals;
  let end = digits.length;
  while (digits.charCodeAt(end - 1) === ZERO) end -= 1;
  const whole = digits.slice(0, point);
  return `${value < 0n ? '-' : ''}${end > point ? `${whole}.${digits.slice(point, end)}` : whole}`;
}

/** `1.5e-7` -> `0.00000015`: how JavaScript prints small numbers, made plain. What it prints so of large ones is too large. */
function expandExponent(text: string): string {
  const match = /^(-?)(\d)(?:\.(\d+))?e-(\d+)$/.exec(text);
  if (!match) return text;
  const [, sign, head = '', tail = '', exponent] = match;
  return `${sign}0.${'0'.repeat(Number(exponent) - 1)}${head}${tail}`;
}
