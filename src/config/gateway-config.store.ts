import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigurationError } from './configuration-error.js';
import { GATEWAY_CONFIG_FILE, type GatewayConfig } from './gateway-config.js';
import { type LoadedConfiguration, LOADED_CONFIGURATION, rereadGatewayConfig } from './load-configuration.js';

/** Who asks within this time of another is answered by the same reading. */
const GATHER_MS = 50;

/**
 * Gets ready for a new file and returns what makes it current. Asked before anything changes.
 *
 * @throws ConfigurationError  when the file cannot be used after all; then nobody changes anything
 */
export type ReloadParticipant = (next: GatewayConfig) => Promise<() => void> | (() => void);

/** Told of every reading of the file after the first. @param faults  none = the new file is in force */
export type ReloadListener = (faults: readonly string[]) => void;

/** The GATEWAY_CONFIG file as it is now. SIGHUP reads it again; a file with a fault changes nothing. */
@Injectable()
export class GatewayConfigStore implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #logger = new Logger(GatewayConfigStore.name);
  readonly #participants: ReloadParticipant[] = [];
  readonly #listeners: ReloadListener[] = [];
  readonly #onSignal = (): void => void this.reload();
  #current: GatewayConfig;
  #running: Promise<unknown> = Promise.resolve();
  /** Has not read the file yet, so it is whoever asks meanwhile has asked for. */
  #waiting: Promise<readonly string[]> | undefined;

  constructor(
    @Inject(LOADED_CONFIGURATION) private readonly loaded: LoadedConfiguration,
    @Inject(GATEWAY_CONFIG_FILE) atBoot: GatewayConfig,
  ) {
    this.#current = atBoot;
  }

  get current(): GatewayConfig {
    return this.#current;
  }

  /** Takes part in every reload from now on, in the order of the calls. */
  onReload(participant: ReloadParticipant): void {
    this.#participants.push(participant);
  }

  onReloaded(listener: ReloadListener): void {
    this.#listeners.push(listener);
  }

  onApplicationBootstrap(): void {
    process.on('SIGHUP', this.#onSignal);
  }

  onApplicationShutdown(): void {
    process.off('SIGHUP', this.#onSignal);
  }

  /**
   * Reads the file again: one reading at a time, and one waiting, whoever asks for how many. Resolves with the faults;
   * none = the new file is in force.
   */
  reload(): Promise<readonly string[]> {
    this.#waiting ??= this.#reloadNext();
    return this.#waiting;
  }

  async #reloadNext(): Promise<readonly string[]> {
    await this.#running;
    await sleep(GATHER_MS);
    this.#waiting = undefined;
    const reading = this.#reloadNow();
    this.#running = reading;
    const faults = await reading;
    for (const listener of this.#listeners) listener(faults);
    return faults;
  }

  async #reloadNow(): Promise<readonly string[]> {
    try {
      const { config, faults } = rereadGatewayConfig(this.loaded);
      if (faults.length > 0) throw new ConfigurationError(faults);
      await this.#swap(config);
      this.#logger.log('GATEWAY_CONFIG was read again and is in force');
      return [];
    } catch (error) {
      const faults =
        error instanceof ConfigurationError ? error.faults : [`GATEWAY_CONFIG: ${String(error)}`];
      for (const fault of faults) this.#logger.error(fault);
      this.#logger.error('GATEWAY_CONFIG was not changed: the old one stays in force');
      return faults;
    }
  }

  /** First everybody prepares, then everybody switches, without a pause in between. */
  async #swap(next: GatewayConfig): Promise<void> {
    const commits: (() => void)[] = [];
    for (const participant of this.#participants) commits.push(await participant(next));
    for (const commit of commits) commit();
    this.#current = next;
  }
}
