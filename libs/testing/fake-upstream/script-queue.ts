import type { Answer, RecordedRequest, RequestMatch, ScriptEntry } from './script.js';

/** The test's entries, in the order they came: the first that matches and isn't used up answers. */
export class ScriptQueue {
  #entries: { entry: ScriptEntry; left: number }[] = [];

  add(entries: ScriptEntry[]): void {
    for (const entry of entries) {
      const left = entry.times === 'always' ? Number.POSITIVE_INFINITY : (entry.times ?? 1);
      this.#entries.push({ entry, left });
    }
  }

  take(request: RecordedRequest): Answer | undefined {
    const found = this.#entries.find(({ entry, left }) => left > 0 && matches(entry.match ?? {}, request));
    if (!found) return undefined;
    found.left -= 1;
    return found.entry.answer;
  }

  clear(): void {
    this.#entries = [];
  }

  /** Entries that still wait for a request, those for `always` left out. */
  get waiting(): number {
    return this.#entries.filter(({ left }) => left > 0 && Number.isFinite(left)).length;
  }
}

function matches(match: RequestMatch, request: RecordedRequest): boolean {
  return (
    (match.vendor === undefined || match.vendor === request.vendor) &&
    (match.method === undefined || match.method === request.method) &&
    (match.path === undefined || matchesPath(match.path, request.path)) &&
    (match.model === undefined || match.model === request.model) &&
    (match.bodyIncludes === undefined || request.body.includes(match.bodyIncludes))
  );
}

function matchesPath(pattern: string, path: string): boolean {
  return pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}
