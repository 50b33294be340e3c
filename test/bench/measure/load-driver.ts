import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LoadMessage, LoadPlan, LoadResult } from '../load/load-plan.ts';
import { pin, running, TOOL_CORE } from '../subjects/child.ts';

/** Figures taken at the two ends of a plan's window. */
export interface Windowed<Reading> {
  readonly result: LoadResult;
  readonly opened: Reading;
  readonly closed: Reading;
}

/** The load process, seen from the bench. */
export class LoadDriver {
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  static async start(): Promise<LoadDriver> {
    const child = fork(fileURLToPath(new URL('../load/load.ts', import.meta.url)), { execArgv: [] });
    running.add(child);
    child.on('exit', () => running.delete(child));
    pin([child.pid!], TOOL_CORE);
    await new Promise((resolve, reject) => {
      child.once('message', resolve);
      child.once('exit', () => reject(new Error('the load process ended')));
    });
    return new LoadDriver(child);
  }

  /** Runs a plan. `read` is called when its window opens and when it closes. */
  run<Reading>(plan: LoadPlan, read: () => Reading): Promise<Windowed<Reading>> {
    return new Promise((resolve, reject) => {
      let opened: Reading | undefined;
      let windowed: Windowed<Reading> | undefined;
      const finish = (outcome: () => void): void => {
        this.#process.off('message', onMessage).off('exit', onExit);
        outcome();
      };
      const onExit = (): void => finish(() => reject(new Error('the load process ended')));
      const onMessage = (message: LoadMessage): void => {
        if (message.kind === 'window-open') opened = read();
        if (message.kind === 'window-closed') {
          windowed = { result: message.result, opened: opened!, closed: read() };
        }
        if (message.kind !== 'done') return;
        finish(() => {
          if (windowed) resolve(windowed);
          else reject(new Error('the load process answered out of order'));
        });
      };
      this.#process.on('message', onMessage).on('exit', onExit);
      this.#process.send(plan);
    });
  }

  stop(): void {
    this.#process.kill();
  }
}
