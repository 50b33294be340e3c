export function withoutUndefined<Value>(fields: Record<string, Value | undefined>): Record<string, Value> {
  const known = Object.entries(fields).filter((entry): entry is [string, Value] => entry[1] !== undefined);
  return Object.fromEntries(known);
}
