const MAX_NAME_LENGTH = 64;
const MAX_LENGTH = 1_000;

/**
 * Names of fields -> the value of `x-gateway-dropped-params`. The names are the client's own texts: whatever is not allowed in
 * a header, or in a list there, is percent-encoded. The length is limited, as many clients read no more than 16 kB of headers.
 */
export function droppedParamsHeader(names: readonly string[]): string {
  let text = '';
  for (const [index, name] of names.entries()) {
    const next = headerText(name);
    if (text.length + next.length > MAX_LENGTH) return `${text}, +${names.length - index} more`;
    text += index === 0 ? next : `, ${next}`;
  }
  return text;
}

function headerText(name: string): string {
  return name
    .slice(0, MAX_NAME_LENGTH)
    .toWellFormed()
    .replace(/[^\x21-\x7e]|[,%]/gu, encodeURIComponent);
}
