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

/** The other way round, without trailing zeros: `1500000n` with 6 digits is `1.5`. For amounts >= 0. */
export function formatDecimal(amount: bigint, fractionDigits: number): string {
  const digits = amount.toString().padStart(fractionDigits + 1, '0');
  const whole = digits.slice(0, digits.length - fractionDigits);
  const fraction = digits.slice(digits.length - fractionDigits).replace(/0+$/, '');
  return fraction === '' ? whole : `${whole}.${fraction}`;
}
