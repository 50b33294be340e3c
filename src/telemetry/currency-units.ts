const NANO_PER_UNIT = 1_000_000_000n;

/** @returns the exact decimal of an amount in nano-units, without trailing zeros: `1500000n` -> `0.0015` */
export function nanoToDecimal(nano: bigint): string {
  const magnitude = nano < 0n ? -nano : nano;
  const fraction = (magnitude % NANO_PER_UNIT).toString().padStart(9, '0').replace(/0+$/, '');
  const whole = `${nano < 0n ? '-' : ''}${magnitude / NANO_PER_UNIT}`;
  return fraction === '' ? whole : `${whole}.${fraction}`;
}

/** For instruments that know only floating point (Prometheus, Langfuse); never for a sum that is charged. */
export function nanoToNumber(nano: bigint): number {
  return Number(nanoToDecimal(nano));
}
