import { readdirSync, rmSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasPid, identifyProcess, isProcessAlive } from './process-identity.js';

/**
 * Which processes use the server of one data folder: an empty file for each, named by the process. The last one alive
 * stops the server, whoever started it. Entries of dead processes don't count and are swept. Call under the lock.
 */
export class ServerUsers {
  readonly #dir: string;
  #own: string | undefined;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async join(): Promise<void> {
    await mkdir(this.#dir, { recursive: true });
    this.#own = await identifyProcess(process.pid);
    await writeFile(join(this.#dir, this.#own), '');
  }

  /** As `leave`, where nothing can be awaited: by process ids alone, so that a reused one counts as alive. */
  leaveSync(): boolean {
    if (this.#own === undefined) return false;
    rmSync(join(this.#dir, this.#own), { force: true });
    return readdirSync(this.#dir).some((identity) => hasPid(Number.parseInt(identity, 10)));
  }

  /** @returns whether other living processes still use the server */
  async leave(): Promise<boolean> {
    if (this.#own !== undefined) await rm(join(this.#dir, this.#own), { force: true });
    let othersAlive = false;
    for (const identity of await readdir(this.#dir).catch(() => [])) {
      if (await isProcessAlive(identity)) othersAlive = true;
      else await rm(join(this.#dir, identity), { force: true });
    }
    return othersAlive;
  }
}
