/**
 * A decimal text -> an integer in units of 10^-`fractionDigits`, exactly.
 *
 * @returns `undefined` for anything that is not plain digits with at most that many fraction digits (no sign, no exponent)
 */
export function parseDecimal(text: string, fractionDigits: number): bigint | undefined {
  const [, whole, fraction = ''] = /^(\d{1,18})(?:\.(\d{1,30}))?$/.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const significant = fraction.replace(/0+$/, '');
  if (significant.length > fractionDigits) return undefined;
  return BigInt(whole + significant.padEnd(fractionDigits, '0'));
}
