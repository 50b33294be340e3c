/**
 * For instruments that know only floating point (Prometheus, Langfuse); never for a sum that is charged.
 * Up to nine million units the result is the double nearest to the exact decimal.
 */
export function nanoToNumber(nano: bigint): number {
  return Number(nano) / 1e9;
}
