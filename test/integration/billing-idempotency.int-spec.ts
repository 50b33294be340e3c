import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, FaultProxy } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  IdempotentBegin,
  IdempotentRequest,
} from '../../src/billing/idempotency/idempotency.service.js';
import { ABANDON_CLAIM, STORE_RESPONSE } from '../../src/billing/idempotency/idempotency-statements.js';
import { answerRecord } from '../../src/billing/journal/journal-record.js';
import { readJournal } from '../../src/billing/journal/journal-reader.js';
import { MOST_PACKED_BYTES } from '../../src/billing/idempotency/packed-answer.js';
import type { StoredResponse } from '../../src/billing/idempotency/stored-response.js';
import {
  MARK_REPLAYED,
  REGISTER_INSTANCE,
  SWEEP_ORPHANS,
} from '../../src/billing/upkeep/upkeep-statements.js';
import { Secret } from '../../src/config/secret.js';
import { databaseUnavailable } from '../../src/database/connection-error.js';
import { uuidV7 } from '../../src/edge/uuid-v7.js';
import {
  type BillingDatabase,
  type BillingMachine,
  booksOf,
  chat,
  connect,
  deadJournal,
  fund,
  openBillingDatabase,
  plannedTarget,
  planOf,
  startMachine,
  targetOf,
  userId,
} from './billing-support.js';

let db: BillingDatabase;
let near: BillingMachine;
let far: BillingMachine;

beforeAll(async () => {
  db = await openBillingDatabase(24);
  near = await register(await startMachine(db.dataSource));
  far = await register(await startMachine(db.dataSource));
});
afterAll(async () => {
  await near[Symbol.asyncDispose]();
  await far[Symbol.asyncDispose]();
  await db.close();
});

async function register(machine: BillingMachine): Promise<BillingMachine> {
  await db.dataSource.query(REGISTER_INSTANCE, [machine.instance.id, 'host']);
  return machine;
}

function ask(user: string, changes: Partial<IdempotentRequest> = {}): IdempotentRequest {
  return {
    userId: user,
    billingId: uuidV7(),
    key: 'key-1',
    route: 'POST /v1/chat/completions',
    body: { model: 'echo', messages: [] },
    stream: false,
    signal: new AbortController().signal,
    ...changes,
  };
}

const answer = (body = '{"id":"a"}'): StoredResponse => ({
  status: 200,
  headers: { 'x-request-cost': '0.1' },
  body,
  stream: false,
});

/** Base64 of noise: three quarters of it cannot be packed away. */
const incompressible = (bytes: number): string =>
  randomBytes(bytes * 2)
    .toString('base64')
    .slice(0, bytes * 2);

function ticketOf(begun: IdempotentBegin) {
  if (begun.kind !== 'execute') throw new Error(`expected to execute, got ${begun.kind}`);
  return begun.ticket;
}

const begin = (machine: BillingMachine, request: IdempotentRequest) => machine.idempotency.begin(request);
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );

describe('without a key', () => {
  it('nothing is asked and nothing kept', async () => {
    expect(await begin(near, ask(userId(), { key: undefined }))).toEqual({ kind: 'none' });
  });

  it.each(['', 'a b', 'ä', 'x'.repeat(256), 'tab\t'])('%j is refused as one', async (key) => {
    await expect(begin(near, ask(userId(), { key }))).rejects.toMatchObject({
      status: 400,
      param: 'Idempotency-Key',
    });
  });
});

describe('a finished request', () => {
  it('is replayed here and elsewhere, byte for byte', async () => {
    const user = userId();
    await ticketOf(await begin(near, ask(user))).store(answer('{"text":"häh"}'));
    for (const machine of [near, far]) {
      expect(await begin(machine, ask(user))).toEqual({ kind: 'replay', response: answer('{"text":"häh"}') });
    }
    expect(far.events).toContainEqual({ kind: 'idempotent-replay' });
  });

  it('is found whatever the order of the keys in the body, and not for another body, route or user', async () => {
    const user = userId();
    const body = { model: 'echo', nested: { a: 1, b: [1, { c: 2, d: 3 }] } };
    await ticketOf(await begin(near, ask(user, { body }))).store(answer());
    const reordered = { nested: { b: [1, { d: 3, c: 2 }], a: 1 }, model: 'echo' };
    expect((await begin(far, ask(user, { body: reordered }))).kind).toBe('replay');
    expect(await code(begin(far, ask(user, { body: { ...body, model: 'other' } })))).toBe(
      'idempotency_mismatch',
    );
    expect(await code(begin(far, ask(user, { body, route: 'POST /elsewhere' })))).toBe(
      'idempotency_mismatch',
    );
    expect((await begin(far, ask(userId(), { body }))).kind).toBe('execute');
  });

  it('too large to keep is never executed again', async () => {
    const user = userId();
    await ticketOf(await begin(near, ask(user))).store(answer(incompressible(MOST_PACKED_BYTES + 1)));
    const refused = await begin(far, ask(user)).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      status: 409,
      code: 'idempotency_conflict',
      headers: { 'x-should-retry': 'false' },
    });
    expect(String(refused)).toContain('too large');
  });

  it('is packed when it is long, and given again byte for byte', async () => {
    const user = userId();
    const transcript = answer('{"choices":[{"delta":{"content":"häh"}}]}\n'.repeat(100_000));
    await ticketOf(await begin(near, ask(user))).store(transcript);
    expect(await begin(far, ask(user))).toEqual({ kind: 'replay', response: transcript });
    const [row] = await db.dataSource.query(
      'SELECT length(body) AS bytes FROM idempotent_response WHERE user_id = $1',
      [user],
    );
    expect(row.bytes).toBeLessThan(transcript.body.length / 20);
  });

  it('is forgotten after its term, unless it was charged', async () => {
    const user = userId();
    await ticketOf(await begin(near, ask(user))).store(answer());
    await db.dataSource.query(
      "UPDATE idempotent_response SET expires_at = now() - interval '1 s' WHERE user_id = $1",
      [user],
    );
    const again = await begin(far, ask(user));
    expect(again.kind).toBe('execute');
    await ticketOf(again).abandon();
  });
});

describe('requests in flight with the same key', () => {
  it('wait for the first, here and elsewhere: 60 requests, one execution', async () => {
    const user = userId();
    const first = ticketOf(await begin(near, ask(user)));
    const others = [near, far].flatMap((machine) =>
      Array.from({ length: 30 }, () => begin(machine, ask(user))),
    );
    await sleep(150);
    await first.store(answer());
    const begun = await Promise.all(others);
    expect(begun.every((each) => each.kind === 'replay')).toBe(true);
  });

  it('race for the claim: of 60 at once on two instances exactly one executes', async () => {
    const user = userId();
    let executed = 0;
    const begun = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const each = await begin(index % 2 === 0 ? near : far, ask(user));
        if (each.kind !== 'execute') return each.kind;
        executed += 1;
        await sleep(50);
        await each.ticket.store(answer());
        return each.kind;
      }),
    );
    expect(executed).toBe(1);
    expect(begun.filter((kind) => kind === 'replay')).toHaveLength(59);
  });

  it('one takes over when the first ended without an answer', async () => {
    const user = userId();
    const first = ticketOf(await begin(near, ask(user)));
    const waiting = [near, far].map((machine) => begin(machine, ask(user)));
    await sleep(100);
    await first.abandon();
    const winner = await Promise.race(waiting);
    await ticketOf(winner).store(answer('second'));
    const kinds = (await Promise.all(waiting)).map((each) => each.kind).sort();
    expect(kinds).toEqual(['execute', 'replay']);
  });

  it('are refused when they differ', async () => {
    const user = userId();
    const first = ticketOf(await begin(near, ask(user)));
    for (const machine of [near, far]) {
      expect(await code(begin(machine, ask(user, { body: { other: true } })))).toBe('idempotency_mismatch');
    }
    await first.abandon();
  });

  it('stop waiting when their client leaves', async () => {
    const user = userId();
    const first = ticketOf(await begin(near, ask(user)));
    for (const machine of [near, far]) {
      const client = new AbortController();
      const waiting = code(begin(machine, ask(user, { signal: client.signal })));
      setTimeout(() => client.abort(), 50);
      expect(await waiting).toBe('idempotency_conflict');
    }
    await first.abandon();
  });

  it('stop waiting when it takes too long, and are told when to ask again', async () => {
    const user = userId();
    const first = ticketOf(await begin(near, ask(user)));
    const impatient = await register(await startMachine(db.dataSource));
    Object.assign(impatient.config, { timeouts: { requestMs: 200 } });
    await expect(begin(impatient, ask(user))).rejects.toMatchObject({ status: 409, retryAfterMs: 1000 });
    await first.abandon();
    await impatient[Symbol.asyncDispose]();
  });
});

/** Serves a request with a key the way the completions service does, up to where `stop` says. */
async function serve(machine: BillingMachine, user: string, stop: 'held' | 'settled' | 'stored') {
  const request = ask(user);
  const ticket = ticketOf(await begin(machine, request));
  const session = machine.sessions.open({ billingId: request.billingId, requestId: 'r', userId: user });
  await session.hold(machine.quoter.quote(planOf(plannedTarget()), chat('hi', { max_tokens: 10 }), false));
  if (stop === 'held') return { ticket };
  await session.settle({
    kind: 'usage',
    target: targetOf(plannedTarget()),
    usage: { inputTokens: 10, outputTokens: 10 },
    source: 'provider',
  });
  await machine.settler.drain({ timeoutMs: 2000 });
  if (stop === 'stored') await ticket.store(answer());
  return { ticket };
}

/** What a successor does after it replayed the journal of a dead instance. */
async function declareDead(machine: BillingMachine): Promise<void> {
  await db.dataSource.query(MARK_REPLAYED, [machine.instance.id, 'host']);
  await db.dataSource.query(SWEEP_ORPHANS, [Date.now()]);
}

describe('a request that was charged and whose answer is being stored', () => {
  it('is waited for', async () => {
    const user = userId();
    await fund(db.dataSource, user, 1_000_000_000n);
    const { ticket } = await serve(near, user, 'settled');
    const waiting = begin(far, ask(user));
    await sleep(200);
    await ticket.store(answer());
    expect(await waiting).toMatchObject({ kind: 'replay' });
  });
});

describe('the instance that executes dies', () => {
  const dying = async () => register(await startMachine(db.dataSource));
  const funded = async () => {
    const user = userId();
    await fund(db.dataSource, user, 1_000_000_000n);
    return user;
  };

  it('uncharged: the key is free once its journal was replayed, not before', async () => {
    const machine = await dying();
    const user = await funded();
    await serve(machine, user, 'held');
    const waiting = begin(near, ask(user));
    await sleep(200);
    const early = await Promise.race([waiting, sleep(10, 'waiting')]);
    expect(early).toBe('waiting');
    await declareDead(machine);
    await ticketOf(await waiting).store(answer());
    expect(await booksOf(db.dataSource, user)).toMatchObject({ held: 0n, charges: 0 });
    await machine[Symbol.asyncDispose]();
  });

  it('charged, and a claim of another attempt in between: the answer goes with the charge', async () => {
    const machine = await dying();
    const user = await funded();
    const request = ask(user);
    const ticket = ticketOf(await begin(machine, request));
    ticket.keeps(() => answer('{"id":"late"}'));
    const session = machine.sessions.open({ billingId: request.billingId, requestId: 'r', userId: user });
    await session.hold(machine.quoter.quote(planOf(plannedTarget()), chat('hi', { max_tokens: 10 }), false));
    // Frozen, and declared dead: the key is free, somebody else claims it, and then the late settlement comes.
    await declareDead(machine);
    const second = ticketOf(await begin(near, ask(user)));
    await session.settle({
      kind: 'usage',
      target: targetOf(plannedTarget()),
      usage: { inputTokens: 10, outputTokens: 10 },
      source: 'provider',
    });
    await machine.settler.drain({ timeoutMs: 2000 });
    await ticket.store(answer('never'));
    await second.abandon();
    expect(await begin(far, ask(user))).toEqual({ kind: 'replay', response: answer('{"id":"late"}') });
    expect((await booksOf(db.dataSource, user)).charges).toBe(1);
    await machine[Symbol.asyncDispose]();
  });

  it('charged without an answer to keep: the key is spent, nothing is charged again', async () => {
    const machine = await dying();
    const user = await funded();
    await serve(machine, user, 'settled');
    const waiting = code(begin(far, ask(user)));
    await sleep(150);
    await declareDead(machine);
    expect(await waiting).toBe('idempotency_conflict');
    expect(await code(begin(near, ask(user)))).toBe('idempotency_conflict');
    expect((await booksOf(db.dataSource, user)).charges).toBe(1);
    await machine[Symbol.asyncDispose]();
  });

  it('charged and stored: replayed', async () => {
    const machine = await dying();
    const user = await funded();
    await serve(machine, user, 'stored');
    await declareDead(machine);
    expect((await begin(near, ask(user))).kind).toBe('replay');
    expect((await booksOf(db.dataSource, user)).charges).toBe(1);
    await machine[Symbol.asyncDispose]();
  });

  it('with its disk: the key is free when it has been silent for as long as a hold lives', async () => {
    const user = userId();
    await db.dataSource.query(
      `INSERT INTO idempotent_response (user_id, idem_key, fingerprint, hold_id, instance_id, stream, claimed_at, expires_at)
       VALUES ($1, 'key-1', '\\x00', $2, $2, false, now() - interval '1 h', now() + interval '1 d')`,
      [user, randomUUID()],
    );
    const begun = await begin(near, ask(user));
    await ticketOf(begun).abandon();
  });

  it('and the key is charged once for ever, also when its answer is past its term', async () => {
    const user = await funded();
    await serve(near, user, 'stored');
    await db.dataSource.query('DELETE FROM idempotent_response WHERE user_id = $1', [user]);
    expect(await code(begin(far, ask(user)))).toBe('idempotency_conflict');
    expect(await code(begin(far, ask(user, { body: {} })))).toBe('idempotency_mismatch');
  });
});

describe('with IDEMPOTENCY_ENCRYPTION_KEYS', () => {
  const newKey = () => new Secret(randomBytes(32).toString('base64'));
  const [first, second] = [newKey(), newKey()];
  const secretAnswer = answer('{"content":"nobody reads this on a disk"}');
  const withKeys = async (idempotencyKeys: Secret[], dataDir?: string) =>
    register(await startMachine(db.dataSource, { idempotencyKeys }, dataDir));
  const bodyOf = async (user: string) => {
    const [row] = await db.dataSource.query<{ body: Buffer }[]>(
      'SELECT body FROM idempotent_response WHERE user_id = $1',
      [user],
    );
    return row?.body ?? Buffer.alloc(0);
  };
  const store = async (machine: BillingMachine, user: string, response = secretAnswer) =>
    ticketOf(await begin(machine, ask(user))).store(response);

  /** Charged, and its answer kept with the charge. @returns who was charged */
  async function charge(machine: BillingMachine): Promise<string> {
    const user = userId();
    await fund(db.dataSource, user, 1_000_000_000n);
    const request = ask(user);
    const ticket = ticketOf(await begin(machine, request));
    ticket.keeps(() => secretAnswer);
    const session = machine.sessions.open({ billingId: request.billingId, requestId: 'r', userId: user });
    await session.hold(machine.quoter.quote(planOf(plannedTarget()), chat('hi', { max_tokens: 10 }), false));
    const usage = { inputTokens: 1, outputTokens: 1 };
    await session.settle({ kind: 'usage', target: targetOf(plannedTarget()), usage, source: 'provider' });
    await ticket.store(secretAnswer);
    return user;
  }

  it('answers lie encrypted, and are given again here and elsewhere, the long ones too', async () => {
    await using machine = await withKeys([first]);
    await using other = await withKeys([first]);
    for (const response of [secretAnswer, answer(`{"content":"nobody ${'reads this '.repeat(9000)}"}`)]) {
      const user = userId();
      await store(machine, user, response);
      const lies = await bodyOf(user);
      expect(lies.toString('latin1')).not.toContain('nobody');
      expect(lies.readUInt16BE(0)).toBe(1);
      for (const replaying of [machine, other]) {
        expect(await begin(replaying, ask(user))).toEqual({ kind: 'replay', response });
      }
    }
  });

  it('those of charges lie encrypted in the journal too, and survive the process', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'billing-sealed-'));
    const journaled = async (keys: Secret[]) => {
      await using machine = await withKeys(keys);
      machine.settler.enqueue = () => undefined;
      const user = await charge(machine);
      const { answers, settlements } = await readJournal(machine.journal.directory);
      const [[id, kept] = ['', undefined]] = [...answers];
      if (!kept) throw new Error('there is an answer in the journal');
      await deadJournal(dataDir, {}, answerRecord(id, kept), { t: 'S', s: settlements[0] });
      return { user, text: kept.body?.toString() ?? '' };
    };
    const sealed = await journaled([first]);
    const plain = await journaled([]);
    expect(sealed.text).not.toContain('nobody');
    expect(plain.text).toContain('nobody');
    {
      // Whoever takes the journal over needs no key to do so.
      await using heir = await startMachine(db.dataSource, {}, dataDir);
      expect(await heir.recovery.recover()).toBe(2);
    }
    expect((await bodyOf(sealed.user)).toString('latin1')).not.toContain('nobody');
    await using machine = await withKeys([first]);
    for (const { user } of [sealed, plain]) {
      expect(await begin(machine, ask(user))).toEqual({ kind: 'replay', response: secretAnswer });
      expect((await booksOf(db.dataSource, user)).charges).toBe(1);
    }
    await rm(dataDir, { recursive: true });
  });

  it('may be changed: older keys in the list open, the first one encrypts, and what lies as it is is read', async () => {
    await using plain = await withKeys([]);
    await using before = await withKeys([first]);
    await using after = await withKeys([second, first]);
    const [plainUser, oldUser, newUser] = [userId(), userId(), userId()];
    await store(plain, plainUser);
    await store(before, oldUser);
    await store(after, newUser);
    for (const user of [plainUser, oldUser, newUser]) {
      expect(await begin(after, ask(user))).toEqual({ kind: 'replay', response: secretAnswer });
    }
    expect(await code(begin(before, ask(newUser)))).toBe('idempotency_conflict');
  });

  it('one that is missing costs the answer, and never a second charge; the operator is told', async () => {
    await using machine = await withKeys([first]);
    const user = await charge(machine);
    await machine.settler.drain({ timeoutMs: 2000 });
    for (const keys of [[], [second]]) {
      await using other = await withKeys(keys);
      const begun = begin(other, ask(user));
      await expect(begun).rejects.toMatchObject({
        code: 'idempotency_conflict',
        headers: { 'x-should-retry': 'false' },
      });
      expect(other.events).toContainEqual(
        expect.objectContaining({ kind: 'unexpected-error', where: 'idempotent answer' }),
      );
    }
    expect((await booksOf(db.dataSource, user)).charges).toBe(1);
    expect((await begin(machine, ask(user))).kind).toBe('replay');
  });

  it('an answer opens for its own user and key alone, and not when a bit of it was flipped', async () => {
    await using machine = await withKeys([first]);
    const [owner, thief] = [userId(), userId()];
    await store(machine, owner);
    await store(machine, thief, answer('{"own":1}'));
    const body = await bodyOf(owner);
    const put = (user: string, bytes: Buffer) =>
      db.dataSource.query('UPDATE idempotent_response SET body = $2 WHERE user_id = $1', [user, bytes]);
    await put(thief, body);
    expect(await code(begin(machine, ask(thief)))).toBe('idempotency_conflict');
    for (const at of [3, 10, 30, body.length - 1, body.length]) {
      const damaged = Buffer.from(body.subarray(0, at === body.length ? 20 : body.length));
      if (at < body.length) damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
      await put(owner, damaged);
      expect(await code(begin(machine, ask(owner)))).toBe('idempotency_conflict');
    }
    await put(owner, body);
    expect((await begin(machine, ask(owner))).kind).toBe('replay');
  });
});

describe('while the database is away', () => {
  it('a keyed request is refused with 503: "once" could not be promised', async () => {
    const proxy = await FaultProxy.start(db.database.url);
    const dataSource = await connect(proxy.through(db.database.url), 4);
    const cut = await register(await startMachine(dataSource));
    await proxy.refuse();
    expect(await code(begin(cut, ask(userId())))).toBe('database_unavailable');
    await proxy.stop();
    await cut[Symbol.asyncDispose]();
    await dataSource.destroy();
  });

  it(
    'an answer is kept, replayed from memory, and stored when the database is back',
    { timeout: 20_000 },
    async () => {
      const proxy = await FaultProxy.start(db.database.url);
      const dataSource = await connect(proxy.through(db.database.url), 4);
      const cut = await register(await startMachine(dataSource));
      const user = userId();
      const ticket = ticketOf(await begin(cut, ask(user)));
      await proxy.refuse();
      await ticket.store(answer());
      await proxy.accept();
      await eventually('the answer to be stored', async () => {
        const rows = await db.dataSource.query(
          'SELECT 1 FROM idempotent_response WHERE user_id = $1 AND status = 200',
          [user],
        );
        return rows.length === 1;
      });
      expect((await begin(far, ask(user))).kind).toBe('replay');
      await proxy.stop();
      await cut[Symbol.asyncDispose]();
      await dataSource.destroy();
    },
  );

  it('an answer that is kept in memory is not given to another request with its key', async () => {
    const user = userId();
    const ticket = ticketOf(await begin(near, ask(user)));
    const query = near.database.query.bind(near.database);
    near.database.query = (sql, parameters) =>
      sql === STORE_RESPONSE ? Promise.reject(databaseUnavailable()) : query(sql, parameters);
    await ticket.store(answer());
    expect(await code(begin(near, ask(user, { body: { model: 'other' } })))).toBe('idempotency_mismatch');
    expect((await begin(near, ask(user))).kind).toBe('replay');
    near.database.query = query;
  });

  it(
    'of more answers than memory keeps the rest lets its keys go: nothing was charged',
    { timeout: 20_000 },
    async () => {
      const user = userId();
      const keys = Array.from({ length: 203 }, (_, index) => `kept-${index}`);
      const tickets = [];
      for (const key of keys) tickets.push(ticketOf(await begin(near, ask(user, { key }))));
      const query = near.database.query.bind(near.database);
      near.database.query = (sql, parameters) =>
        sql === STORE_RESPONSE || sql === ABANDON_CLAIM
          ? Promise.reject(databaseUnavailable())
          : query(sql, parameters);
      for (const ticket of tickets) await ticket.store(answer());
      near.database.query = query;
      const claims = async () =>
        db.dataSource.query<{ idem_key: string; status: number | null }[]>(
          'SELECT idem_key, status FROM idempotent_response WHERE user_id = $1',
          [user],
        );
      await eventually('every key to have its answer or to be free', async () =>
        (await claims()).every(({ status }) => status === 200),
      );
      expect(await claims()).toHaveLength(200);
      expect((await begin(far, ask(user, { key: 'kept-202' }))).kind).toBe('replay');
      expect((await begin(far, ask(user, { key: 'kept-0' }))).kind).toBe('execute');
    },
  );
});
