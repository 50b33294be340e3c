import type { Output } from './command.js';

const REQUEST_TIMEOUT_MS = 60_000;
/** The ledger's row is there when the answer ends; a follower's copy may be a moment late. */
const LEDGER_PATIENCE_MS = 10_000;
const MAX_TOKENS = 32;
/** Answers word by word at a known, slow pace. */
const PACED_MODEL = 'echo-slow';
/** A stream that was shorter than this shows nothing about the way of its chunks. */
const LEAST_PACED_MS = 400;

export interface DeploymentCheckOptions {
  /** Without a trailing slash. */
  readonly url: string;
  readonly token: string;
  readonly model: string | undefined;
  readonly metricsToken: string | undefined;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Milliseconds between the first and the last piece of the body. */
  readonly spreadMs: number;
}

/** Why a check failed, in words for the operator. */
class CheckFailed extends Error {}

/** One pass over a running gateway, each check a line. Speaks HTTP only, so it may run anywhere. */
export class DeploymentCheck {
  #failures = 0;
  #model: string | undefined;
  #streamModel: string | undefined;

  constructor(
    private readonly options: DeploymentCheckOptions,
    private readonly output: Output,
  ) {
    this.#model = options.model;
  }

  /** @returns how many checks failed */
  async run(): Promise<number> {
    await this.#check('health', () => this.#isOk('/health'));
    await this.#check('readiness', () => this.#isOk('/ready'));
    await this.#check('components', () => this.#hasNothingDown());
    await this.#check('refusal without a token', () => this.#refuses());
    await this.#check('models', () => this.#listsModels());
    await this.#check('completion', () => this.#completes());
    await this.#check('stream', () => this.#streams());
    await this.#check('metrics', () => this.#measures());
    return this.#failures;
  }

  async #check(name: string, work: () => Promise<string>): Promise<void> {
    const startedMs = performance.now();
    try {
      const note = await work();
      this.output.out(
        `ok    ${name}${note && `: ${note}`} (${Math.round(performance.now() - startedMs)} ms)`,
      );
    } catch (error) {
      this.#failures++;
      this.output.out(`FAIL  ${name}: ${error instanceof CheckFailed ? error.message : reasonOf(error)}`);
    }
  }

  async #isOk(path: string): Promise<string> {
    const { status, text } = await this.#ask(path, { anonymous: true });
    return expectStatus(status, 200, text);
  }

  /** A degraded gateway serves: its weak spots are named, and the check goes on. */
  async #hasNothingDown(): Promise<string> {
    const { status, text } = await this.#ask('/health/detailed', { anonymous: true });
    if (status === 403 || status === 404) return 'not accessible from here';
    expectStatus(status, 200, text);
    const report = parseJson(text);
    const unwell = unwellComponents(field(report, 'components')).join(', ');
    if (field(report, 'status') === 'unhealthy')
      throw new CheckFailed(unwell || 'the overall status is unhealthy');
    return unwell;
  }

  async #refuses(): Promise<string> {
    const { status, text } = await this.#ask('/v1/models', { anonymous: true });
    expectStatus(status, 401);
    if (errorCode(text) !== 'missing_token') throw new CheckFailed('the answer is not the error envelope');
    const forged = await this.#ask('/v1/models', { token: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.x' });
    return expectStatus(forged.status, 401);
  }

  async #listsModels(): Promise<string> {
    const { status, text } = await this.#ask('/v1/models');
    expectStatus(status, 200, text);
    const ids = idsOf(parseJson(text));
    if (ids.length === 0) throw new CheckFailed('no model is available');
    if (this.options.model === undefined && ids.includes(PACED_MODEL)) this.#streamModel = PACED_MODEL;
    this.#model ??= ids.includes('echo') ? 'echo' : ids[0];
    if (this.#model !== undefined && !ids.includes(this.#model))
      throw new CheckFailed('the model is not in the list');
    return `${ids.length} served, using ${this.#model}`;
  }

  /** An answer, its price, and the very debit in the ledger. */
  async #completes(): Promise<string> {
    const { status, headers, text } = await this.#ask('/v1/chat/completions', {
      body: this.#question(false),
    });
    expectStatus(status, 200, text);
    const completion = parseJson(text);
    if (field(completion, 'object') !== 'chat.completion')
      throw new CheckFailed('the answer is not a chat.completion');
    return this.#debitOf(headers);
  }

  async #streams(): Promise<string> {
    const { status, headers, text, spreadMs } = await this.#ask('/v1/chat/completions', {
      body: this.#question(true),
    });
    expectStatus(status, 200, text);
    const events = text
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => line.slice(6));
    if (events.at(-1) !== '[DONE]') throw new CheckFailed('the stream does not end with [DONE]');
    const chunks = events
      .slice(0, -1)
      .filter((event) => field(parseJson(event), 'object') === 'chat.completion.chunk');
    if (chunks.length === 0) throw new CheckFailed('the stream has no chunks');
    const debit = await this.#debitOf(headers);
    const pace = this.#streamModel === PACED_MODEL ? await this.#pace(headers, spreadMs) : 'pace not checked';
    return `${chunks.length} chunks, ${pace}, ${debit}`;
  }

  /** The gateway knows how long it took to send the answer; if it all arrives at once, something in between buffers it. */
  async #pace(headers: Headers, spreadMs: number): Promise<string> {
    const requestId = encodeURIComponent(headers.get('x-request-id') ?? '');
    const { status, text } = await this.#ask(`/billing/requests/${requestId}`);
    expectStatus(status, 200, text);
    const receipt = parseJson(text);
    const paceMs =
      Date.parse(String(field(receipt, 'settled_at'))) - Date.parse(String(field(receipt, 'created_at')));
    if (!(paceMs >= LEAST_PACED_MS)) return 'pace not checked';
    if (spreadMs < paceMs / 10)
      throw new CheckFailed(
        `what took ${paceMs} ms to send arrived within ${Math.round(spreadMs)} ms: something in between buffers it`,
      );
    return `over ${Math.round(spreadMs)} ms`;
  }

  async #debitOf(headers: Headers): Promise<string> {
    const requestId = headers.get('x-request-id');
    if (!requestId) throw new CheckFailed('the answer has no x-request-id');
    const untilMs = performance.now() + LEDGER_PATIENCE_MS;
    for (;;) {
      const { status, text } = await this.#ask('/billing/transactions?limit=20');
      expectStatus(status, 200, text);
      const rows = field(parseJson(text), 'transactions');
      const row: unknown = Array.isArray(rows)
        ? rows.find((entry) => field(entry, 'request_id') === requestId)
        : undefined;
      if (row !== undefined) return `debited ${String(field(row, 'amount'))}`;
      if (performance.now() > untilMs) throw new CheckFailed('the debit is not in the ledger');
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  async #measures(): Promise<string> {
    const { metricsToken } = this.options;
    const answer = await this.#ask(
      '/metrics',
      metricsToken === undefined ? { anonymous: true } : { token: metricsToken },
    );
    if (metricsToken === undefined && (answer.status === 401 || answer.status === 403))
      return 'closed; pass --metrics-token to read them';
    if (answer.status === 404) return 'switched off';
    expectStatus(answer.status, 200, answer.text);
    // Behind a balancer another instance may answer, which has served nothing yet.
    if (!/^(?:# TYPE llm_requests_total |llm_requests_total\{)/m.test(answer.text))
      throw new CheckFailed('llm_requests_total is missing');
    return '';
  }

  #question(stream: boolean): object {
    return {
      model: (stream ? this.#streamModel : undefined) ?? this.#model ?? 'echo',
      messages: [{ role: 'user', content: 'Say, word by word: it works.' }],
      max_tokens: MAX_TOKENS,
      stream,
    };
  }

  async #ask(
    path: string,
    how: { anonymous?: boolean; token?: string; body?: object } = {},
  ): Promise<Answer> {
    const headers = new Headers();
    if (!how.anonymous) headers.set('authorization', `Bearer ${how.token ?? this.options.token}`);
    if (how.body) headers.set('content-type', 'application/json');
    const response = await fetch(this.options.url + path, {
      method: how.body ? 'POST' : 'GET',
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...(how.body && { body: JSON.stringify(how.body) }),
    });
    return { status: response.status, headers: response.headers, ...(await readText(response)) };
  }
}

async function readText(response: Response): Promise<{ text: string; spreadMs: number }> {
  const pieces: string[] = [];
  let firstMs: number | undefined;
  let lastMs = 0;
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    lastMs = performance.now();
    firstMs ??= lastMs;
    pieces.push(piece);
  }
  return { text: pieces.join(''), spreadMs: lastMs - (firstMs ?? lastMs) };
}

function expectStatus(status: number, expected: number, text = ''): string {
  if (status === expected) return '';
  const error = field(parseJson(text), 'error');
  const what = [field(error, 'code'), field(error, 'message')].filter((part) => typeof part === 'string');
  throw new CheckFailed(
    `status ${status}${what.length > 0 ? ` (${what.join(': ')})` : ''} instead of ${expected}`,
  );
}

function errorCode(text: string): string | undefined {
  const code = field(field(parseJson(text), 'error'), 'code');
  return typeof code === 'string' ? code : undefined;
}

/** `database down`, `providers.openai degraded`, …: groups hold components of their own. */
function unwellComponents(components: unknown, prefix = ''): string[] {
  return Object.entries(Object(components) as object).flatMap(([name, component]) => {
    const status = field(component, 'status');
    if (typeof status !== 'string') return unwellComponents(component, `${name}.`);
    return status === 'up' ? [] : [`${prefix}${name} ${status}`];
  });
}

function idsOf(list: unknown): string[] {
  const models: unknown = Array.isArray(list) ? list : field(list, 'data');
  return Array.isArray(models)
    ? models.map((model) => field(model, 'id')).filter((id) => typeof id === 'string')
    : [];
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error && 'code' in cause) {
    const code = String(cause.code);
    const hint = /CERT|SELF_SIGNED|ISSUER/.test(code)
      ? '; a private certificate: NODE_EXTRA_CA_CERTS=<its file>'
      : '';
    return `no answer (${code})${hint}`;
  }
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}
