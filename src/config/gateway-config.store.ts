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
import { untilQuiet } from './gateway-file/until-quiet.js';
import { type LoadedConfiguration, LOADED_CONFIGURATION, rereadGatewayConfig } from './load-configuration.js';

/** Requests within this time of each other share one reading. */
const GATHER_MS = 50;
/** Of those that a log line has room for. */
const MOST_NAMES = 20;
/** Whoever writes a file in place empties it first. */
const BLANK =
  'GATEWAY_CONFIG: the file is empty, but the configuration in force is not (to remove everything, write {})';

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
  /** Has not read the file yet, so it also serves whoever asks in the meantime. */
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
    const path = this.loaded.config.gatewayConfigPath;
    const isQuiet = path === undefined || (await untilQuiet(path));
    this.#waiting = undefined;
    const reading = this.#reloadNow(isQuiet);
    this.#running = reading;
    const faults = await reading;
    for (const listener of this.#listeners) listener(faults);
    return faults;
  }

  async #reloadNow(isQuiet: boolean): Promise<readonly string[]> {
    try {
      if (!isQuiet)
        throw new ConfigurationError(['GATEWAY_CONFIG: the file keeps changing while it is read']);
      const before = this.#current;
      const { config, faults, isBlank } = rereadGatewayConfig(this.loaded);
      if (isBlank && namesOf(before).length > 0) faults.push(BLANK);
      if (faults.length > 0) throw new ConfigurationError(faults);
      await this.#swap(config);
      this.#logger.log(`GATEWAY_CONFIG was reloaded and is in force${gone(before, config)}`);
      return [];
    } catch (error) {
      const faults =
        error instanceof ConfigurationError ? error.faults : [`GATEWAY_CONFIG: ${String(error)}`];
      for (const fault of faults) this.#logger.error(fault);
      this.#logger.error('GATEWAY_CONFIG was not reloaded: the old configuration stays in force');
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

/** Half a file may parse without a fault: whoever sent the signal should see what it removed. */
function gone(before: GatewayConfig, now: GatewayConfig): string {
  const kept = new Set(namesOf(now));
  const names = namesOf(before).filter((name) => !kept.has(name));
  if (names.length === 0) return '';
  const others = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : '';
  return `, without ${names.slice(0, MOST_NAMES).join(', ')}${others}`;
}

/** What clients may ask for by the file. */
function namesOf(config: GatewayConfig): string[] {
  return [...config.models.keys(), ...config.aliases.keys()];
}
