import { GatewayError } from '@app/contracts';
import { Inject, Injectable } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { isBroken } from '../broken-guarantees.js';
import { crashPoint } from '../crash-points.js';
import { MoneyDatabase } from '../money-database.js';
import { GatewayInstance } from '../upkeep/gateway-instance.service.js';
import { AnswerPacker } from './answer-packer.js';
import { fingerprintOf } from './fingerprint.js';
import { type IdempotencyClaim, IdempotencyClaims } from './idempotency-claims.js';
import { CLAIM_KEY, LOOK_AT_KEY } from './idempotency-statements.js';
import { IdempotencyTicket } from './idempotency-ticket.js';
import { PendingAnswers } from './pending-answers.js';
import { ResponseStore } from './response-store.js';
import type { StoredResponse } from './stored-response.js';

const VALID_KEY = /^[\x21-\x7e]{1,255}$/;
const FIRST_POLL_MS = 50;
const LONGEST_POLL_MS = 1000;
const LONGEST_JOIN_MS = 120_000;
const RETRY_AFTER_MS = 1000;

export interface IdempotentRequest {
  readonly userId: string;
  readonly billingId: string;
  /** The header as it came; `undefined` = none. */
  readonly key: string | undefined;
  /** Method and path without a prefix, e.g. `POST /v1/chat/completions`. */
  readonly route: string;
  readonly body: unknown;
  readonly stream: boolean;
  /** The client left: stop waiting for somebody else's answer. */
  readonly signal: AbortSignal;
}

export type IdempotentBegin =
  | { readonly kind: 'none' }
  | { readonly kind: 'execute'; readonly ticket: IdempotencyTicket }
  | { readonly kind: 'replay'; readonly response: StoredResponse };

/**
 * One Idempotency-Key, one upstream call, one charge. The first request claims the key and executes; others with the same
 * body wait for its answer, wherever it runs; later ones get the stored answer.
 */
@Injectable()
export class IdempotencyService {
  readonly #pending = new PendingAnswers();

  constructor(
    private readonly database: MoneyDatabase,
    private readonly responses: ResponseStore,
    private readonly packer: AnswerPacker,
    private readonly claims: IdempotencyClaims,
    private readonly instance: GatewayInstance,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /**
   * Call before anything that costs money. A ticket must be ended: `store` or `abandon`.
   *
   * @throws GatewayError 400 `invalid_body` (no such key), 422 `idempotency_mismatch`, 409 `idempotency_conflict`,
   *                      503 `database_unavailable` (without the database "once" cannot be promised)
   */
  async begin(request: IdempotentRequest): Promise<IdempotentBegin> {
    if (request.key === undefined || isBroken('dedup-off')) return { kind: 'none' };
    if (!VALID_KEY.test(request.key)) {
      const message = 'Idempotency-Key must be 1 to 255 visible ASCII characters.';
      throw new GatewayError('invalid_body', message, { param: 'Idempotency-Key' });
    }
    const fingerprint = fingerprintOf(request.route, request.body);
    const deadlineMs = performance.now() + Math.min(this.config.timeouts.requestMs, LONGEST_JOIN_MS);
    for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(pollMs * 2, LONGEST_POLL_MS)) {
      const begun = await this.#tryOnce(request, request.key, fingerprint, deadlineMs);
      if (begun) return begun;
      if (request.signal.aborted || performance.now() + pollMs > deadlineMs) throw inFlight();
      await sleep(pollMs, undefined, { signal: request.signal }).catch(() => undefined);
    }
  }

  /** @returns `undefined` while somebody else is executing it */
  async #tryOnce(
    request: IdempotentRequest,
    key: string,
    fingerprint: string,
    deadlineMs: number,
  ): Promise<IdempotentBegin | undefined> {
    const { userId, signal } = request;
    const near = this.#pending.find(userId, key);
    if (near) {
      if (near.fingerprint !== fingerprint) throw mismatch();
      const answer = await within(near.answer, deadlineMs - performance.now(), signal);
      return answer && this.#replay(answer);
    }
    // Noted here before the database is asked, so that two requests of this process never ask at once.
    const pending = this.#pending.add(userId, key, fingerprint);
    let isOurs = false;
    let answer: StoredResponse | undefined;
    try {
      const ticket = await this.#claim(request, key, fingerprint, pending.end);
      isOurs = ticket !== undefined;
      if (ticket) return { kind: 'execute', ticket };
      answer = await this.#lookAt(userId, key, fingerprint);
      return answer && this.#replay(answer);
    } finally {
      if (!isOurs) pending.end(answer);
    }
  }

  async #claim(
    request: IdempotentRequest,
    key: string,
    fingerprint: string,
    end: (answer: StoredResponse | undefined) => void,
  ): Promise<IdempotencyTicket | undefined> {
    const { userId, billingId, stream } = request;
    const termMs = this.config.billing.idempotencyTtlMs;
    const rows = await this.database.query(CLAIM_KEY, [
      userId,
      key,
      fingerprint,
      billingId,
      this.instance.id,
      stream,
      termMs,
      this.config.billing.holdTtlMs,
    ]);
    if (rows.length === 0) return undefined;
    crashPoint('after-claim');
    const claim: IdempotencyClaim = { key, fingerprintHex: fingerprint };
    this.claims.set(billingId, claim);
    return new IdempotencyTicket({ userId, key, fingerprint, billingId }, claim, this.responses, (answer) => {
      this.claims.delete(billingId);
      end(answer);
    });
  }

  /** @returns the stored answer; `undefined` while there is none and there may be one */
  async #lookAt(userId: string, key: string, fingerprint: string): Promise<StoredResponse | undefined> {
    const kept = this.responses.unsaved(userId, key);
    if (kept && kept.fingerprint !== fingerprint) throw mismatch();
    if (kept) return kept.response;
    const [row] = await this.database.query<KeyRow>(LOOK_AT_KEY, [userId, key]);
    const known = row?.fingerprint ?? row?.hold_fingerprint;
    if (!row || known == null) return undefined;
    if (known !== fingerprint) throw mismatch();
    const { status, headers, stream, body } = row;
    if (status === null) {
      // While the owner may still be at work, or its journal may still be replayed, the answer may yet come.
      if (row.charged && !row.owned) throw answerLost('was charged, and its answer is no longer kept');
      return undefined;
    }
    if (body === null) throw answerLost('was charged, and its answer was too large to store');
    const text = await this.packer.unpack(body, { userId, key });
    if (text === undefined) throw this.#unreadable();
    return { status, headers: headers ?? {}, body: text, stream: stream ?? false };
  }

  /** Executing it again could charge it again. */
  #unreadable(): GatewayError {
    const error = new Error(
      'a stored answer was encrypted with a key that is missing from IDEMPOTENCY_ENCRYPTION_KEYS',
    );
    this.telemetry.event({ kind: 'unexpected-error', where: 'idempotent answer', error });
    return answerLost('was answered, and its answer can no longer be decrypted');
  }

  #replay(response: StoredResponse): IdempotentBegin {
    this.telemetry.event({ kind: 'idempotent-replay' });
    return { kind: 'replay', response };
  }
}

interface KeyRow {
  fingerprint: string | null;
  hold_fingerprint: string | null;
  status: number | null;
  headers: Record<string, string> | null;
  body: Buffer | null;
  stream: boolean | null;
  charged: boolean | null;
  /** The journal of the instance that claims it was not replayed: it lives, or may still have an answer there. */
  owned: boolean;
}

function mismatch(): GatewayError {
  return new GatewayError(
    'idempotency_mismatch',
    'This Idempotency-Key was already used for a different request.',
    {
      param: 'Idempotency-Key',
    },
  );
}

function inFlight(): GatewayError {
  return new GatewayError('idempotency_conflict', 'A request with this Idempotency-Key is still in flight.', {
    param: 'Idempotency-Key',
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** The key is spent: executing it again would charge it again. */
function answerLost(what: string): GatewayError {
  return new GatewayError(
    'idempotency_conflict',
    `The request with this Idempotency-Key ${what}. Send a new key to run it again.`,
    { param: 'Idempotency-Key', headers: { 'x-should-retry': 'false' } },
  );
}

async function within<T>(work: Promise<T>, timeoutMs: number, signal: AbortSignal): Promise<T | undefined> {
  const giveUp = new AbortController();
  const limit = sleep(Math.max(0, timeoutMs), undefined, {
    signal: AbortSignal.any([signal, giveUp.signal]),
  });
  try {
    return await Promise.race([work, limit.catch(() => undefined)]);
  } finally {
    giveUp.abort();
  }
}
