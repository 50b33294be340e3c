import { JsonBoundsError } from '@app/contracts';
import { SseTooLargeError } from '@app/sse';

/** What makes an answer one that is not read, after "the answer": for a message. `undefined` = something else failed. */
export function answerProblem(error: unknown): string | undefined {
  if (error instanceof JsonBoundsError) return error.problem;
  return error instanceof SseTooLargeError ? 'has an event that is too large' : undefined;
}
