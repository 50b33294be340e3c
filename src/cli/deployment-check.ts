import type { Output } from './command.js';

const REQUEST_TIMEOUT_MS = 60_000;
/** The ledger's row is there when the answer ends; a follower's copy may be a moment late. */
const LEDGER_PATIENCE_MS = 10_000;
const MAX_TOKENS = 16;

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
}

/** Why a check failed, in words for the operator. */
class CheckFailed extends Error {}

/** One pass over a running gateway, each check a line. Speaks HTTP only, so it may run anywhere. */
export class DeploymentCheck {
  #failures = 0;
  #model: string | undefined;

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
    const { status } = await this.#ask(path, { anonymous: true });
    return expectStatus(status, 200);
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
    expectStatus(status, 200);
    const ids = idsOf(parseJson(text));
    if (ids.length === 0) throw new CheckFailed('no model is served');
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
    const { status, headers, text } = await this.#ask('/v1/chat/completions', { body: this.#question(true) });
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
    return `${chunks.length} chunks, ${debit}`;
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
      return 'closed, pass --metrics-token to read them';
    if (answer.status === 404) return 'switched off';
    expectStatus(answer.status, 200);
    // Behind a balancer another instance may answer, which has served nothing yet.
    if (!/^(?:# TYPE llm_requests_total |llm_requests_total\{)/m.test(answer.text))
      throw new CheckFailed('llm_requests_total is missing');
    return '';
  }

  #question(stream: boolean): object {
    return {
      model: this.#model ?? 'echo',
      messages: [{ role: 'user', content: 'Say: it works.' }],
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
    return { status: response.status, headers: response.headers, text: await response.text() };
  }
}

function expectStatus(status: number, expected: number, text = ''): string {
  if (status === expected) return '';
  const code = errorCode(text);
  throw new CheckFailed(`status ${status}${code ? ` (${code})` : ''} instead of ${expected}`);
}

function errorCode(text: string): string | undefined {
  const code = field(field(parseJson(text), 'error'), 'code');
  return typeof code === 'string' ? code : undefined;
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
  if (cause instanceof Error && 'code' in cause) return `no answer (${String(cause.code)})`;
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}
