import { abortSignalOf } from '@app/contracts';
import { formatNano } from '@app/money';
import { Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { type IdempotentBegin, IdempotencyService } from '../billing/idempotency/idempotency.service.js';
import type { IdempotencyTicket } from '../billing/idempotency/idempotency-ticket.js';
import type { StoredResponse } from '../billing/idempotency/stored-response.js';
import { requirePrincipal } from '../edge/request-context.js';
import type { StreamAnswer, WholeAnswer } from './answer.js';
import { CachedAnswers } from './cached-answers.service.js';
import type { CompletionRun } from './completion-run.js';
import type { StreamEnd } from './stream/billed-stream.js';
import { ReplayedStream } from './stream/replayed-stream.js';

const ROUTE = 'POST /v1/chat/completions';
const NO_KEY: IdempotentBegin = { kind: 'none' };

/** One Idempotency-Key, one answer: the first request has it made, the others get a replay, whole or as a stream. */
@Injectable()
export class IdempotentAnswers {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly answers: CachedAnswers,
  ) {}

  /** Without a key, as most are, straight on: that saves a promise. */
  whole(run: CompletionRun, incoming: Request): Promise<WholeAnswer> {
    if (incoming.headers['idempotency-key'] === undefined) return this.answers.whole(run, incoming);
    return this.#wholeOnce(run, incoming);
  }

  async #wholeOnce(run: CompletionRun, incoming: Request): Promise<WholeAnswer> {
    const begun = await this.#begin(run, incoming);
    if (begun.kind === 'replay') return replayWhole(run, begun.response);
    if (begun.kind === 'none') return this.answers.whole(run, incoming);
    const { ticket } = begun;
    ticket.keeps((costNano) => toStored(run, costNano));
    try {
      const answer = await this.answers.whole(run, incoming);
      run.answerText = () => answer.json;
      await ticket.store(toStored(run, run.costNanoUsd));
      return answer;
    } catch (error) {
      await ticket.abandon();
      throw error;
    }
  }

  async stream(
    run: CompletionRun,
    incoming: Request,
    onEnd: (end: StreamEnd) => void,
  ): Promise<StreamAnswer> {
    const begun = await this.#begin(run, incoming);
    if (begun.kind === 'replay') return replayStream(run, begun.response, onEnd);
    if (begun.kind === 'none') return this.answers.stream(run, incoming, { onEnd });
    return this.#keepStream(run, incoming, begun.ticket, onEnd);
  }

  async #keepStream(
    run: CompletionRun,
    incoming: Request,
    ticket: IdempotencyTicket,
    onEnd: (end: StreamEnd) => void,
  ): Promise<StreamAnswer> {
    const transcript: string[] = [];
    run.answerText = () => transcript.join('\n');
    ticket.keeps((costNano) => toStored(run, costNano));
    try {
      return await this.answers.stream(run, incoming, {
        keepsAnswer: true,
        onEvent: (json) => transcript.push(json),
        onComplete: () => ticket.store(toStored(run, run.costNanoUsd)),
        onEnd: (end) => {
          // Does nothing if the answer has been stored.
          void ticket.abandon();
          onEnd(end);
        },
      });
    } catch (error) {
      await ticket.abandon();
      throw error;
    }
  }

  #begin(run: CompletionRun, incoming: Request): IdempotentBegin | Promise<IdempotentBegin> {
    const { context } = run;
    const key = incoming.headers['idempotency-key'];
    if (key === undefined) return NO_KEY;
    return this.idempotency.begin({
      userId: requirePrincipal(context).userId,
      billingId: context.billingId,
      key: typeof key === 'string' ? key : undefined,
      route: ROUTE,
      // The route decides whether it streams, so the same body on both routes makes two requests.
      body: { ...run.request, stream: run.isStream },
      stream: run.isStream,
      signal: abortSignalOf(context.clientGone),
    });
  }
}

function toStored(run: CompletionRun, costNano: bigint | undefined): StoredResponse {
  const headers = run.headers();
  headers['x-idempotent-request-id'] = run.context.requestId;
  if (costNano !== undefined) headers['x-request-cost'] = formatNano(costNano);
  return { status: 200, headers, body: run.answerText?.() ?? '', stream: run.isStream };
}

function replayWhole(run: CompletionRun, stored: StoredResponse): WholeAnswer {
  run.isReplay = true;
  return { json: stored.body, headers: stored.headers };
}

/** The transcript has one event per line: JSON text has no line breaks of its own. */
function replayStream(
  run: CompletionRun,
  stored: StoredResponse,
  onEnd: (end: StreamEnd) => void,
): StreamAnswer {
  run.isReplay = true;
  const lines = stored.body === '' ? [] : stored.body.split('\n');
  return { events: new ReplayedStream(lines.values(), { onEnd }), headers: stored.headers };
}
