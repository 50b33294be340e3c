import type { ColumnOptions } from 'typeorm';

/** Options of an int8 column that holds nano-units. It arrives as text and becomes a BigInt, never a number. */
export function nanoColumn(name: string): ColumnOptions {
  return { name, type: 'bigint', transformer: { from: toAmount, to: toText } };
}

const toAmount = (text: string | null): bigint | null => (text === null ? null : BigInt(text));
const toText = (amount: bigint | null): string | null => amount?.toString() ?? null;
