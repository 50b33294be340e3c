/** When an answer was made, for a provider that does not say it. */
export function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
