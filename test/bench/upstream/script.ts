/**
 * What a request says of the answer it wants: words anywhere in its body, so that every gateway hands them on.
 *
 * - `chunks`: text chunks of a stream
 * - `gap`: pause between two of them, ms; 0 = none
 * - `wait`: pause before the answer, ms, give or take a tenth
 */
export interface AnswerScript {
  readonly chunks: number;
  readonly gapMs: number;
  readonly waitMs: number;
}

const MARKER = Buffer.from('bench chunks=');
const LONGEST_MARKER = 64;

export function marker({ chunks, gapMs, waitMs }: AnswerScript): string {
  return `bench chunks=${chunks} gap=${gapMs} wait=${waitMs};`;
}

export function readMarker(body: Buffer): AnswerScript {
  const at = body.indexOf(MARKER);
  const text = at < 0 ? '' : body.toString('latin1', at, at + LONGEST_MARKER);
  const [, chunks = '100', gapMs = '0', waitMs = '0'] = /chunks=(\d+) gap=(\d+) wait=(\d+);/.exec(text) ?? [];
  return { chunks: Number(chunks), gapMs: Number(gapMs), waitMs: Number(waitMs) };
}
