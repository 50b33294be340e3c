import { isConnectionError } from '../../database/connection-error.js';
import type { Telemetry } from '../../telemetry/telemetry.js';

/**
 * Work that is done again and again, each round some time after the last one has ended. A round that fails is reported (an
 * outage of the database is reported elsewhere) and does not stop the next.
 */
export class RecurringWork {
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** @param round  resolves to the pause until the next one, ms, if that is not the usual one */
  constructor(
    private readonly name: string,
    private readonly telemetry: Telemetry,
    private readonly pauseMs: number,
    private readonly round: () => Promise<number | undefined>,
  ) {}

  get isStopped(): boolean {
    return this.#isStopped;
  }

  start(afterMs = this.pauseMs): void {
    if (!this.#isStopped) this.#timer = setTimeout(() => void this.#run(), afterMs).unref();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    let pauseMs: number | undefined;
    try {
      pauseMs = await this.round();
    } catch (error) {
      if (!isConnectionError(error))
        this.telemetry.event({ kind: 'unexpected-error', where: this.name, error });
    }
    this.start(pauseMs);
  }
}
