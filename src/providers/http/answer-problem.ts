import { JsonBoundsError } from '@app/contracts';
import { SseTooLargeError } from '@app/sse';

/** Why an answer is not read: words for a message, behind "the answer". `undefined` = something else failed. */
export function answerProblem(error: unknown): string | undefined {
  if (error instanceof JsonBoundsError) return error.problem;
  return error instanceof SseTooLargeError ? 'has an event that is too large' : undefined;
}
