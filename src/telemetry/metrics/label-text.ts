/** Labels as they stand between the braces of a Prometheus line. */
export function labelText(labels: readonly (readonly [name: string, value: string | number])[]): string {
  return labels.map(([name, value]) => `${name}="${escaped(String(value))}"`).join(',');
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
