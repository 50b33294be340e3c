/** Something that a request can be sent to, and whose cost is looked at. */
export interface Subject {
  readonly name: string;
  readonly title: string;
  readonly port: number;
  readonly path: string;
  readonly headers: readonly string[];
  /** Its own processes: what a request costs it. */
  readonly pids: readonly number[];
  /** Processes that work for it (its database), told apart. */
  readonly helperPids: readonly number[];
  /** Where its inspector listens after SIGUSR1; `undefined` = no Node process. */
  readonly inspectorPort: number | undefined;
  /** Empties its log: a long run would fill the disk. */
  forgetLog(): void;
  stop(): Promise<void>;
}
