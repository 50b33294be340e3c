import type { ColumnOptions } from 'typeorm';

/** int8 arrives as text from the driver; it becomes a BigInt, never a number. */
const AS_BIGINT = {
  from: (text: string | null): bigint | null => (text === null ? null : BigInt(text)),
  to: (amount: bigint | null | undefined): string | null | undefined =>
    amount?.toString() ?? (amount as null | undefined),
};

/** Options of an int8 column that holds nano-units. */
export function nanoColumn(name: string, options: ColumnOptions = {}): ColumnOptions {
  return { ...options, name, type: 'bigint', transformer: AS_BIGINT };
}
