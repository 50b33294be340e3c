import { type ChatRequest, GatewayError, type GatewayErrorCode } from '@app/contracts';
import { formatNano } from '@app/money';
import { Inject, Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { toGatewayError } from '../edge/gateway-error.filter.js';
import { requirePrincipal } from '../edge/request-context.js';
import { ModelCatalog } from '../models/model-catalog.service.js';
import { Telemetry } from '../telemetry/telemetry.js';
import { AdmissionService } from './admission.service.js';
import { CompletionExecution } from './completion-execution.service.js';
import { type Capture, CompletionRun } from './completion-run.js';
import { IdempotentAnswers } from './idempotent-answers.service.js';
import type { StreamAnswer, WholeAnswer } from './answer.js';
import { Deadlines } from '../timing/deadlines.js';
import { SseResponse } from './respond/sse-response.js';
import { sendJson } from './respond/json-response.js';

const NO_HEADERS: Request['headers'] = Object.freeze({});

/** The story of one completion: find the model, admit, answer (replayed, cached or fresh), respond, record. */
@Injectable()
export class ChatCompletionsService {
  readonly #heartbeats = new Deadlines();
  readonly #capture: Capture;

  constructor(
    private readonly catalog: ModelCatalog,
    private readonly admission: AdmissionService,
    private readonly answers: IdempotentAnswers,
    private readonly execution: CompletionExecution,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    this.#capture = captureOf(config);
  }

  /** Resolves when a whole answer is sent, or a stream has begun. Passes promises on and does not await them: that is cheaper. */
  answer(request: ChatRequest, isStream: boolean, incoming: Request, response: Response): Promise<void> {
    const run = new CompletionRun(request, incoming.gateway, isStream, stickyKey(incoming));
    run.context.hasRecord = true;
    const failed = (error: unknown): void => this.failed(run, response, error);
    try {
      run.model = this.catalog.require(request.model, requirePrincipal(run.context)); // 404, 403
      const answered = this.admission.isOff
        ? this.respond(run, incoming, response)
        : this.respondAdmitted(run, incoming, response);
      return answered.catch(failed);
    } catch (error) {
      return Promise.reject(error as Error).catch(failed);
    }
  }

  private respond(run: CompletionRun, incoming: Request, response: Response): Promise<void> {
    return run.isStream
      ? this.answerStream(run, incoming, response)
      : this.answerWhole(run, incoming, response);
  }

  /** A stream releases its place when it is over, which is long after it has begun. */
  private async respondAdmitted(run: CompletionRun, incoming: Request, response: Response): Promise<void> {
    const release = await this.admission.admit(run, response); // 429
    try {
      if (run.isStream) return await this.answerStream(run, incoming, response, release);
      await this.answerWhole(run, incoming, response);
    } catch (error) {
      release();
      throw error;
    }
    release();
  }

  /** @throws the error, if somebody is still there to be answered with it */
  private failed(run: CompletionRun, response: Response, error: unknown): void {
    this.finish(run, error);
    // The client has left: that is no failure, and there is nobody to answer.
    if (run.context.isClientGone && run.context.billing?.closed !== false) return;
    if (response.headersSent) return;
    setHeaders(response, run.headers());
    throw error;
  }

  /** For operators: the targets in order, their prices and the hold. Sends nothing. */
  async explain(
    request: ChatRequest,
    isStream: boolean,
    incoming: Request,
    response: Response,
  ): Promise<void> {
    const principal = requirePrincipal(incoming.gateway);
    if (principal.role !== 'admin')
      throw new GatewayError('admin_only', 'Only administrators may use explain.');
    const run = new CompletionRun(request, incoming.gateway, isStream, stickyKey(incoming));
    run.model = this.catalog.require(request.model, principal);
    sendJson(response, JSON.stringify(this.execution.explain(run)));
  }

  private answerWhole(run: CompletionRun, incoming: Request, response: Response): Promise<void> {
    return this.answers.whole(run, incoming).then((answer) => this.sendWhole(run, response, answer));
  }

  private sendWhole(run: CompletionRun, response: Response, { headers, json }: WholeAnswer): void {
    this.finish(run, undefined);
    if (response.destroyed) return;
    run.eachHeader((name, value) => response.setHeader(name, value));
    if (headers) setHeaders(response, headers);
    if (run.costNanoUsd !== undefined) response.setHeader('x-request-cost', formatNano(run.costNanoUsd));
    sendJson(response, json);
  }

  /**
   * Resolves when the stream has begun: whoever waited for its end would be kept alive by it.
   *
   * @param onOver  called when a stream that had begun has ended
   */
  private async answerStream(
    run: CompletionRun,
    incoming: Request,
    response: Response,
    onOver?: () => void,
  ): Promise<void> {
    const sse = new SseResponse(
      response,
      this.config.completions.heartbeatMs,
      this.#heartbeats,
      this.config.timeouts.requestMs,
    );
    // A provider that thinks for long must not look like a dead connection. So after a while the headers go out, and a failure
    // is an event; before that, it is a plain answer with its own status.
    const patience = setTimeout(
      () => {
        setHeaders(response, { 'x-cache': run.cache });
        sse.open();
      },
      this.config.completions.heartbeatMs || 2 ** 31 - 1,
    );
    let answer: StreamAnswer;
    try {
      answer = await this.answers.stream(run, incoming, (end) =>
        this.finish(run, end.kind === 'failed' ? end.error : undefined, end.kind === 'client-gone'),
      );
    } catch (error) {
      // Before the headers the filter answers, with the error's own status and headers.
      if (response.headersSent) sse.fail(error);
      throw error;
    } finally {
      clearTimeout(patience);
    }
    if (!response.headersSent) setHeaders(response, { ...run.headers(), ...answer.headers });
    forgetHeaders(incoming);
    sse.pipe(answer.events, onOver);
  }

  /** Tells limits, metrics, logs and traces, once. */
  private finish(run: CompletionRun, error: unknown, clientGone = run.context.isClientGone): void {
    if (run.isRecorded) return;
    run.isRecorded = true;
    this.admission.correctTokens(run);
    const shown = error === undefined ? undefined : toGatewayError(error);
    const code: GatewayErrorCode | undefined = clientGone ? undefined : shown?.code;
    const status = clientGone ? 499 : (shown?.status ?? 200);
    this.telemetry.request(run.record(status, code, this.#capture));
  }
}

function captureOf({ observability: { langfuse } }: AppConfig): Capture {
  if (!langfuse) return 'nothing';
  return langfuse.captureContent ? 'everything' : 'parameters';
}

/** Without a session the planner goes by the request's `user`. */
function stickyKey(incoming: Request): string | undefined {
  const session = incoming.headers['x-session-id'];
  return typeof session === 'string' && session.length <= 256 ? session : undefined;
}

/** Node keeps a request as long as its answer; a stream need not keep the token and all other headers. */
function forgetHeaders(incoming: Request): void {
  incoming.headers = NO_HEADERS;
  incoming.rawHeaders = [];
}

function setHeaders(response: Response, headers: Readonly<Record<string, string>>): void {
  for (const name in headers) response.setHeader(name, headers[name] ?? '');
}
