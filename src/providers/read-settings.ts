type Environment = Readonly<Record<string, string | undefined>>;

/** A key, or what else goes out in a header as it is: what could not would fail at each request. */
export function readHeaderValue(name: string, env: Environment, faults: string[]): string | undefined {
  const value = env[name]?.trim();
  if (value && !/^[\x21-\x7e]+$/.test(value)) faults.push(`${name}: must be printable ASCII without spaces`);
  return value || undefined;
}

/** Without a slash at its end. */
export function readBaseUrl(name: string, env: Environment, otherwise: string, faults: string[]): string {
  const text = env[name]?.trim() || otherwise;
  const url = URL.parse(text);
  const isHttp = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (!isHttp || url.search !== '' || url.hash !== '')
    faults.push(`${name}: must be an http(s) URL without query or fragment`);
  return text.replace(/\/+$/, '');
}
