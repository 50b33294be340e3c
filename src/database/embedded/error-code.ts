/** True for a Node system error with one of the codes (`ENOENT`, …). */
export function hasErrorCode(error: unknown, ...codes: string[]): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return typeof error.code === 'string' && codes.includes(error.code);
}
