import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { eventually, FaultProxy } from '@app/testing';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { runLedgerAudit } from '../../src/billing/audit/ledger-audit.js';
import { readJournal } from '../../src/billing/journal/journal-reader.js';
import { uuidV7 } from '../../src/edge/uuid-v7.js';
import {
  answerTo,
  type BillingDatabase,
  type BillingMachine,
  booksOf,
  fund,
  keyedRequest,
  openBillingDatabase,
  startMachine,
  userId,
} from './billing-support.js';

const HOOKS = fileURLToPath(new URL('../support/typescript-hooks.mjs', import.meta.url));
const CHILD = fileURLToPath(new URL('./billing-child.ts', import.meta.url));
const PLENTY = 1_000_000_000_000n;

let db: BillingDatabase;
let proxy: FaultProxy;
let dataDir: string;
let users: string[];
const children: Child[] = [];

beforeEach(async () => {
  db = await openBillingDatabase(6);
  proxy = await FaultProxy.start(db.database.url);
  dataDir = await mkdtemp(join(tmpdir(), 'billing-crash-'));
  users = Array.from({ length: 5 }, userId);
  for (const user of users) await fund(db.dataSource, user, PLENTY);
});
afterEach(async () => {
  for (const child of children.splice(0)) await child.kill();
  await proxy.stop();
  await db.close();
  await rm(dataDir, { recursive: true, force: true });
});

/** A process that serves, and what it has promised so far. */
class Child {
  readonly promised = new Map<string, bigint>();
  readonly keyed: { readonly id: string; readonly user: string; readonly key: string }[] = [];
  instanceId = '';
  readonly #process: ChildProcess;
  #errors = '';

  constructor(lanes = 8, thinkMs = 1, kind: '' | 'keyed' = '') {
    const settings = [
      proxy.through(db.database.url),
      dataDir,
      users.join(','),
      String(lanes),
      String(thinkMs),
      kind,
    ];
    this.#process = spawn(process.execPath, ['--import', HOOKS, CHILD, ...settings], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        COMPILED_SOURCES: join(inject('runDirectory'), 'compiled'),
        NODE_COMPILE_CACHE: join(inject('runDirectory'), 'compile-cache'),
      },
    });
    let rest = '';
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#read(line);
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#errors += text));
    children.push(this);
  }

  #read(line: string): void {
    const [id = '', value = '', user = '', key = ''] = line.split(' ');
    if (id === 'instance') this.instanceId = value;
    else {
      this.promised.set(id, BigInt(value));
      if (key !== '') this.keyed.push({ id, user, key });
    }
  }

  async serving(count: number): Promise<void> {
    await eventually(
      `the child to promise ${count} charges; it said: ${this.#errors}`,
      () => this.promised.size >= count,
      20_000,
    );
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const closed = once(this.#process, 'close');
    this.#process.kill('SIGKILL');
    await closed;
  }

  get journal(): string {
    return join(dataDir, 'journal', this.instanceId);
  }
}

/** A new process on the same disk, at its boot. */
async function restart(): Promise<BillingMachine> {
  const machine = await startMachine(db.dataSource, {}, dataDir);
  await machine.upkeep.runOnce();
  await machine.upkeep.runOnce();
  return machine;
}

/** Compares what the children had promised with what was booked. */
async function reckon(
  ...all: Child[]
): Promise<{ promised: number; lost: number; wrong: number; booked: number }> {
  const rows = await db.dataSource.query<{ id: string; charged: string }[]>(
    "SELECT id, -amount_nano AS charged FROM ledger WHERE kind = 'charge'",
  );
  const booked = new Map(rows.map((row) => [row.id, BigInt(row.charged)]));
  const promised = all.flatMap((child) => [...child.promised]);
  return {
    promised: promised.length,
    lost: promised.filter(([id]) => !booked.has(id)).length,
    wrong: promised.filter(([id, cost]) => booked.has(id) && booked.get(id) !== cost).length,
    booked: rows.length,
  };
}

async function expectCleanBooks(): Promise<void> {
  for (const user of users) {
    const books = await booksOf(db.dataSource, user);
    expect(books.balance).toBe(books.ledger);
    expect(books.held).toBe(books.openHolds);
    expect(books.held).toBe(0n);
  }
  const audit = await runLedgerAudit(db.dataSource);
  expect(audit.mismatches).toEqual([]);
}

describe('kill -9 of a gateway', () => {
  it('loses nothing that was promised and leaves no phantom hold', { timeout: 60_000 }, async () => {
    const all: Child[] = [];
    for (let round = 0; round < 3; round += 1) {
      const child = new Child();
      all.push(child);
      await child.serving(50 + round * 37);
      await child.kill();
    }
    await using machine = await restart();
    expect(machine.events.filter((event) => event.kind === 'unexpected-error')).toEqual([]);
    expect(await reckon(...all)).toMatchObject({ lost: 0, wrong: 0 });
    await expectCleanBooks();
    expect(await readdir(join(dataDir, 'journal'))).toEqual([machine.instance.id]);
  });

  it(
    'while Postgres is frozen loses nothing either; CONTROL: without the journal it does',
    { timeout: 60_000 },
    async () => {
      const withJournal = new Child();
      await withJournal.serving(30);
      proxy.faults = { up: { blackhole: true }, down: { blackhole: true } };
      await sleep(200);
      await withJournal.kill();
      proxy.heal();
      const unbooked = (await readJournal(withJournal.journal)).settlements.length;
      expect(unbooked).toBeGreaterThan(0);

      const control = new Child();
      await control.serving(30);
      proxy.faults = { up: { blackhole: true }, down: { blackhole: true } };
      await sleep(200);
      await control.kill();
      proxy.heal();
      // The freeze left the promise in the journal only; take that away and it is nowhere.
      expect((await readJournal(control.journal)).settlements.length).toBeGreaterThan(0);
      await rm(control.journal, { recursive: true });

      await using machine = await restart();
      expect(machine.events.filter((event) => event.kind === 'unexpected-error')).toEqual([]);
      expect(await reckon(withJournal)).toMatchObject({ lost: 0, wrong: 0 });
      expect((await reckon(control)).lost).toBeGreaterThan(0);
    },
  );

  it(
    'with a torn tail or flipped bits in its journal starts, and books every whole record',
    { timeout: 60_000 },
    async () => {
      const child = new Child(8, 5);
      await child.serving(30);
      await proxy.refuse();
      await sleep(200);
      await child.kill();
      await proxy.accept();
      const [segment = ''] = (await readdir(child.journal)).filter((name) => name.endsWith('.journal'));
      const contents = await readJournal(child.journal);
      const path = join(child.journal, segment);
      await tear(path);
      const left = await readJournal(child.journal);
      expect(left.tornSegments).toBe(1);
      expect(left.settlements.length).toBeGreaterThanOrEqual(contents.settlements.length - 1);
      await using machine = await restart();
      const { lost } = await reckon(child);
      expect(lost).toBeLessThanOrEqual(1);
      await expectCleanBooks();
      expect(machine.settler.pending).toBe(0);
    },
  );
});

describe('an answer with an Idempotency-Key', () => {
  it('survives with its charge, and is given again by another process', { timeout: 60_000 }, async () => {
    const child = new Child(8, 1, 'keyed');
    await child.serving(60);
    // From here on Postgres hears nothing: what was promised and not stored is in the journal alone.
    proxy.faults = { up: { blackhole: true }, down: { blackhole: true } };
    await sleep(200);
    await child.kill();
    proxy.heal();
    const { answers, settlements } = await readJournal(child.journal);
    expect(settlements.length).toBeGreaterThan(0);
    expect([...answers.keys()].sort()).toEqual(settlements.map(({ id }) => id).sort());

    await using machine = await restart();
    expect(machine.events.filter((event) => event.kind === 'unexpected-error')).toEqual([]);
    for (const { id, user, key } of child.keyed) {
      const begun = await machine.idempotency.begin(keyedRequest(user, uuidV7(), key));
      expect(begun).toEqual({ kind: 'replay', response: answerTo(id) });
    }
    expect(await reckon(child)).toMatchObject({ lost: 0, wrong: 0 });
    await expectCleanBooks();
  });
});

describe('a process that only sleeps (SIGSTOP)', () => {
  it('keeps its holds and its journal, and goes on afterwards', { timeout: 60_000 }, async () => {
    const child = new Child(4, 100);
    await child.serving(10);
    child.signal('SIGSTOP');
    await using machine = await restart();
    expect((await stat(child.journal)).isDirectory()).toBe(true);
    const open = await db.dataSource.query("SELECT 1 FROM hold WHERE state = 'open'");
    expect(open.length).toBeGreaterThan(0);
    child.signal('SIGCONT');
    await child.serving(child.promised.size + 10);
    await child.kill();
    await machine.upkeep.runOnce();
    await machine.upkeep.runOnce();
    expect(await reckon(child)).toMatchObject({ lost: 0, wrong: 0 });
    await expectCleanBooks();
  });
});

describe('two processes that start at once after a kill', () => {
  it('take over the same journal without harm', { timeout: 60_000 }, async () => {
    const child = new Child();
    await child.serving(50);
    await proxy.refuse();
    await sleep(100);
    await child.kill();
    await proxy.accept();
    const machines = await Promise.all([1, 2, 3].map(() => startMachine(db.dataSource, {}, dataDir)));
    await Promise.all(machines.map((machine) => machine.upkeep.runOnce()));
    await machines[0]?.upkeep.runOnce();
    expect(await reckon(child)).toMatchObject({ lost: 0, wrong: 0 });
    await expectCleanBooks();
    for (const machine of machines) {
      expect(machine.events.filter((event) => event.kind === 'unexpected-error')).toEqual([]);
      await machine[Symbol.asyncDispose]();
    }
  });
});

/** Cuts the last record in the middle: what a kill leaves of a write that was under way. */
async function tear(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    const { size } = await handle.stat();
    const data = Buffer.alloc(size);
    await handle.read(data, 0, size, 0);
    let last = 0;
    for (let offset = 0; data.readUInt32LE(offset) > 0; offset += 8 + data.readUInt32LE(offset))
      last = offset;
    const end = last + 8 + data.readUInt32LE(last);
    await handle.write(Buffer.alloc(end - last - 20), 0, end - last - 20, last + 20);
  } finally {
    await handle.close();
  }
}
