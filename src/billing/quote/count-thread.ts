import { parentPort } from 'node:worker_threads';
// With its own extension: a thread is started from the sources in tests, by Node itself.
import { countBounded, type Encoding } from './bounded-count.ts';

/** What `countTokens` asks of this thread, and what it says. */
export interface CountQuestion {
  readonly id: number;
  readonly text: string;
  readonly encoding: Encoding;
}
export interface CountAnswer {
  readonly id: number;
  readonly tokens: number;
}

parentPort?.on('message', ({ id, text, encoding }: CountQuestion) => {
  void countBounded(text, encoding).then((tokens) => {
    parentPort?.postMessage({ id, tokens } satisfies CountAnswer);
  });
});
