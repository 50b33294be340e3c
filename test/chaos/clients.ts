import { setTimeout as sleep } from 'node:timers/promises';
import { mintToken } from '../../libs/testing/tokens.ts';
import { type CallOutcome, callCompletion } from './completion-call.ts';
import type { Random } from '../support/random.ts';
import type { Scenario } from './scenario.ts';
import { UntilTold } from './until-told.ts';

/** Longer than the gateway's own limit, so that its answer comes first. */
const PATIENCE_MS = 20_000;
/** How long an operation is tried again, at most. */
const PERSISTENCE_MS = 60_000;
const TOKEN_SECONDS = 24 * 3600;
const CHECKERS = 16;
const MOST_CHECKS = 5;
const CHECK_PAUSE_MS = 2000;
const REFUSED_MS = 1000;

/** One call, as the client remembers it. */
export interface Acknowledgement extends CallOutcome {
  readonly requestId: string;
  readonly port: number;
  readonly startedAtMs: number;
  /** Asked when everything was over, to see that a key that was charged has its answer. */
  readonly isCheck: boolean;
}

/** One wish of a client: with a key it is one wish however often it is sent. */
export interface Operation {
  readonly id: string;
  readonly user: string;
  readonly scarce: boolean;
  readonly key: string | undefined;
  readonly stream: boolean;
  readonly content: string;
  readonly maxTokens: number | undefined;
  readonly calls: Acknowledgement[];
}

/** Many clients with a memory of their own: what they were told is what the books are compared with. */
export class Clients extends UntilTold {
  readonly operations: Operation[] = [];
  answers = 0;
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #ports: readonly number[];
  readonly #tokens = new Map<string, string>();
  readonly #refusedUntilMs = new Map<number, number>();
  #scarceGeneration = 1;

  constructor(scenario: Scenario, random: Random, ports: readonly number[]) {
    super();
    this.#scenario = scenario;
    this.#random = random;
    this.#ports = ports;
  }

  get ampleUsers(): readonly string[] {
    return Array.from({ length: this.#scenario.ampleUsers }, (_, index) => `ample-${index}`);
  }

  start(): void {
    this.run(Array.from({ length: this.#scenario.clients }, () => this.#loop(this.#random.fork())));
  }

  /** One wish, now, at this instance, without any fault of ours. */
  async probe(port: number): Promise<CallOutcome> {
    const operation = this.#newOperation(this.#random, false);
    return this.#send(operation, port, PATIENCE_MS);
  }

  /** Sends what was charged once more: it must be answered, and nothing new be charged. A busy machine may say 503 first. */
  async askAgain(operations: readonly Operation[]): Promise<void> {
    const left = [...operations];
    const ask = async (): Promise<void> => {
      for (let operation = left.pop(); operation; operation = left.pop()) {
        await this.#askUntilAnswered(operation);
      }
    };
    await Promise.all(Array.from({ length: CHECKERS }, ask));
  }

  async #askUntilAnswered(operation: Operation): Promise<void> {
    for (let tries = 0; tries < MOST_CHECKS; tries += 1) {
      const { status } = await this.#send(operation, this.#random.pick(this.#ports), PATIENCE_MS, true);
      if (status !== undefined && status !== 503) return;
      await sleep(CHECK_PAUSE_MS);
    }
  }

  async #loop(random: Random): Promise<void> {
    while (!this.stopped) {
      const operation = this.#newOperation(random, random.chance(this.#scenario.scarceShare));
      await this.#pursue(operation, random);
      await sleep(random.between(0, 10));
    }
  }

  #newOperation(random: Random, scarce: boolean): Operation {
    const id = `op${this.operations.length}`;
    const words = Array.from({ length: random.between(1, 16) }, () => 'word').join(' ');
    const operation: Operation = {
      id,
      user: scarce ? `scarce-${this.#scarceGeneration}` : random.pick(this.ampleUsers),
      scarce,
      key: random.chance(this.#scenario.keyedShare) ? `key-${id}` : undefined,
      stream: random.chance(this.#scenario.streamShare),
      content: `${id} ${words}`,
      maxTokens: random.chance(0.7) ? random.between(4, 64) : undefined,
      calls: [],
    };
    this.operations.push(operation);
    return operation;
  }

  async #pursue(operation: Operation, random: Random): Promise<void> {
    const deadlineMs = Date.now() + PERSISTENCE_MS;
    for (;;) {
      const outcome = await this.#attempt(operation, random);
      if (this.#isAnswered(operation, outcome)) return;
      if (Date.now() > Math.min(deadlineMs, this.giveUpAtMs)) return;
      await sleep(outcome.refused ? random.between(400, 1200) : random.between(100, 700));
    }
  }

  async #attempt(operation: Operation, random: Random): Promise<CallOutcome> {
    const { disconnectShare, twinShare } = this.#scenario;
    const leaveAfterMs =
      !this.stopped && random.chance(disconnectShare) ? random.between(1, 250) : PATIENCE_MS;
    const port = this.#pickPort(random);
    if (operation.key === undefined || !random.chance(twinShare)) {
      return this.#send(operation, port, leaveAfterMs);
    }
    const [one, other] = await Promise.all([
      this.#send(operation, port, leaveAfterMs),
      this.#send(operation, this.#pickPort(random), PATIENCE_MS),
    ]);
    return other.complete ? other : one;
  }

  /** As a balancer would: not one that refused a connection a moment ago. */
  #pickPort(random: Random): number {
    const now = Date.now();
    const likely = this.#ports.filter((port) => (this.#refusedUntilMs.get(port) ?? 0) < now);
    return random.pick(likely.length > 0 ? likely : this.#ports);
  }

  #isAnswered(operation: Operation, outcome: CallOutcome): boolean {
    if (outcome.complete || operation.key === undefined) {
      this.#noteEmpty(operation, outcome);
      return true;
    }
    if (outcome.status === 402) {
      this.#noteEmpty(operation, outcome);
      return outcome.code === 'insufficient_balance';
    }
    if (outcome.status === undefined || outcome.status === 200) return false;
    return !outcome.mayRetry || outcome.status === 400 || outcome.status === 401 || outcome.status === 422;
  }

  /** The next race is run on another account. */
  #noteEmpty(operation: Operation, outcome: CallOutcome): void {
    if (outcome.code !== 'insufficient_balance' || !operation.scarce) return;
    const generation = Number(operation.user.split('-')[1]);
    this.#scarceGeneration = Math.max(this.#scarceGeneration, generation + 1);
  }

  async #send(
    operation: Operation,
    port: number,
    leaveAfterMs: number,
    isCheck = false,
  ): Promise<CallOutcome> {
    const requestId = `${operation.id}.${operation.calls.length}.${this.#random.between(0, 1e9)}`;
    const startedAtMs = Date.now();
    const outcome = await callCompletion({
      port,
      requestId,
      key: operation.key,
      token: this.#tokenOf(operation.user),
      leaveAfterMs,
      body: {
        model: 'chaos',
        stream: operation.stream,
        messages: [{ role: 'user', content: operation.content }],
        ...(operation.stream ? { stream_options: { include_usage: true } } : {}),
        ...(operation.maxTokens === undefined ? {} : { max_tokens: operation.maxTokens }),
      },
    });
    if (outcome.complete) this.answers += 1;
    if (outcome.refused) this.#refusedUntilMs.set(port, Date.now() + REFUSED_MS);
    operation.calls.push({ ...outcome, requestId, port, startedAtMs, isCheck });
    return outcome;
  }

  #tokenOf(user: string): string {
    const known = this.#tokens.get(user);
    if (known) return known;
    const token = mintToken({ sub: user, expiresInSeconds: TOKEN_SECONDS });
    this.#tokens.set(user, token);
    return token;
  }
}
