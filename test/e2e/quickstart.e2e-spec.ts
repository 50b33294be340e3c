import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually, freePort } from '@app/testing';
import { afterEach, beforeAll, describe, expect, inject, it } from 'vitest';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
/** Copied, because the script works in the folder that it lies in. The rest is linked. */
const COPIED = ['deployments/quickstart.mjs', 'dist'];
const LINKED = ['node_modules', 'src', 'libs', 'package.json', 'package-lock.json', 'nest-cli.json'];

/** Longer than the script itself waits for its gateway: it shall be the one that says what is wrong. */
const GREETING_TIMEOUT_MS = 130_000;

/** The script in a checkout that is installed and built: what comes before takes minutes, and is `verify`'s to prove. */
let checkout: string;
const running: Quickstart[] = [];
beforeAll(async () => {
  checkout = await mkdtemp(join(inject('runDirectory'), 'quickstart-'));
  await mkdir(join(checkout, 'deployments'));
  for (const name of COPIED) await cp(join(REPOSITORY, name), join(checkout, name), { recursive: true });
  const settings = ['tsconfig.json', 'tsconfig.build.json'];
  for (const name of [...LINKED, ...settings]) await symlink(join(REPOSITORY, name), join(checkout, name));
  await writeFile(join(checkout, 'dist', '.built'), '');
});
afterEach(async () => {
  for (const quickstart of running.splice(0)) await quickstart.stop('SIGKILL');
  // only after a failure: what ended well has left nothing
  for (const pid of await leftBehind()) kill(pid);
});

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone meanwhile
  }
}

class Quickstart {
  output = '';
  readonly #child: ChildProcess;

  constructor(readonly port: number) {
    const env = { PATH: process.env['PATH'], PORT: String(port), HOST: '127.0.0.1' };
    const script = join(checkout, 'deployments', 'quickstart.mjs');
    this.#child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (data) => (this.output += data));
    running.push(this);
  }

  async greeted(): Promise<string> {
    return eventually(
      'the quickstart has printed its token',
      () => {
        if (this.#child.exitCode !== null) throw new Error(this.output);
        return this.output.includes('Ctrl-C stops') && /TOKEN=(\S+)/.exec(this.output)?.[1];
      },
      GREETING_TIMEOUT_MS,
      100,
    );
  }

  async stop(signal: NodeJS.Signals): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill(signal);
      await ended;
    }
    return this.#child.exitCode;
  }

  fetch(path: string, token: string, body?: unknown): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
}

/** Processes that work in this checkout: the gateway and the database both have a folder of it as theirs. Linux only. */
async function leftBehind(): Promise<number[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const folders = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
  return pids.filter((_, index) => folders[index]?.startsWith(checkout)).map(Number);
}

const balance = async (quickstart: Quickstart, token: string): Promise<number> => {
  const { balance: left } = (await (await quickstart.fetch('/billing/balance', token)).json()) as {
    balance: number;
  };
  return left;
};

describe('npm run quickstart', () => {
  it('prints a token that works, ends with 0 on Ctrl-C, leaves nothing running, and keeps the data', async () => {
    const first = new Quickstart(await freePort());
    const token = await first.greeted();
    expect(first.output).toContain(`curl http://localhost:${first.port}/v1/chat/completions`);
    const question = { model: 'echo', messages: [{ role: 'user', content: 'Hello!' }] };
    expect((await first.fetch('/v1/chat/completions', token, question)).status).toBe(200);
    const left = await eventually('the answer is charged', async () => {
      const now = await balance(first, token);
      return now < 100 && now;
    });
    expect(await first.stop('SIGINT')).toBe(0);
    expect(await leftBehind()).toEqual([]);

    const second = new Quickstart(await freePort());
    const again = await second.greeted();
    expect(await balance(second, again)).toBe(left);
    expect(await balance(second, token)).toBe(left);
    expect((await stat(join(checkout, 'data', 'jwt-secret'))).mode & 0o077).toBe(0);
    expect(await second.stop('SIGTERM')).toBe(0);
  }, 300_000);

  it('leaves nothing running when it is killed', async () => {
    const quickstart = new Quickstart(await freePort());
    await quickstart.greeted();
    await quickstart.stop('SIGKILL');
    await eventually(
      'the gateway and its database are gone',
      async () => (await leftBehind()).length === 0,
      30_000,
    );
  }, 180_000);

  it('says what to do when the port is taken', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const address = holder.address();
    const quickstart = new Quickstart(address && typeof address === 'object' ? address.port : 0);
    await eventually('it has ended', () => quickstart.output.includes('is in use'), 30_000);
    expect(quickstart.output).toMatch(/PORT=\d+ npm run quickstart/);
    holder.close();
  });
});
