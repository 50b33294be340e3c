/**
 * JSON with keys in order, so that equal requests are equal texts however they were written. Stored fingerprints are made of
 * it: another form would take a repeat for another request.
 */
export function canonicalJson(value: unknown): string {
  return (
    JSON.stringify(value, (_key, inner: unknown) => {
      if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
      return Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)));
    }) ?? 'null'
  );
}
