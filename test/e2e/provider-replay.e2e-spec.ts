import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ChatCompletion, GATEWAY_ERRORS, type GatewayErrorCode } from '@app/contracts';
import {
  createDatabase,
  eventually,
  expectChatCompletion,
  expectErrorEnvelope,
  FakeUpstream,
  foldChunks,
  type Gateway,
  readSse,
  type RecordedRequest,
  type Splitting,
  startGateway,
  type TestDatabase,
  type Vendor,
} from '@app/testing';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import {
  readChatRecordings,
  type RecordedAnswer,
  type RecordedUsage,
  type Recording,
  toAnswer,
  trafficDirectory,
  vendorReplayOf,
} from '../../libs/testing/replay/index.js';

/**
 * Every recorded chat exchange of the three vendors, through the running gateway: the recorded request goes in as a
 * client would send it, the fake upstream gives the recorded answer (cut into pieces), and three things are compared:
 * what the upstream received with what was recorded, what the client got with OpenAI's schema, and its content, finish,
 * tools and counts with the recording.
 *
 * The recordings are no part of the repository: PROVIDER_TRAFFIC_DIR names their folder.
 */

/** Recordings that can't be replayed as they are, and why. Each is asserted to fail still. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  // none at present
};

const VENDORS: readonly Vendor[] = ['openai', 'anthropic', 'google'];
const tally = new Map<Vendor, { replayed: number; passed: number }>();
let database: TestDatabase;
let upstream: FakeUpstream;
let gateway: Gateway;
/**
 * What was answered, by request id: for comparing with the ledger. Not exact where the vendor ran tools of its own: what
 * these read is in no request, so the charge may stop at 1.10 × the hold; and their side calls are charged on top.
 */
const answered = new Map<string, RecordedUsage & { exact: boolean }>();

describe.skipIf(!trafficDirectory())('recorded traffic through the gateway (PROVIDER_TRAFFIC_DIR)', () => {
  beforeAll(async () => {
    [database, upstream] = await Promise.all([createDatabase(), FakeUpstream.start()]);
    gateway = await startGateway({ env: { ...upstream.env, ...(await environment()) } });
  });
  afterAll(async () => {
    for (const [vendor, { replayed, passed }] of tally)
      console.log(`${vendor}: ${replayed} replayed, ${passed} passed`);
    await gateway?.stop();
    await upstream?.stop();
    await database?.drop();
  });

  describe.each(VENDORS)('%s', (vendor) => {
    const recordings = readChatRecordings(vendor);

    it('has recordings', () => {
      expect(recordings.length).toBeGreaterThan(50);
    });

    for (const recording of recordings) {
      const run = EXCEPTIONS[recording.id] ? it.fails : it;
      run(recording.id, async () => {
        const counts = tally.get(vendor) ?? { replayed: 0, passed: 0 };
        tally.set(vendor, { ...counts, replayed: counts.replayed + 1 });
        onTestFinished(({ task }) => {
          const known = tally.get(vendor);
          if (known && task.result?.state === 'pass') known.passed += 1;
        });
        await replay(recording);
      });
    }
  });

  it('every answer was charged once, for the tokens that the vendor counted', async () => {
    const charges = await readCharges(answered.size);
    for (const [requestId, usage] of answered) {
      const [charge, ...others] = charges.filter((transaction) => transaction.request_id === requestId);
      expect(others).toEqual([]);
      const charged = Math.round(-(charge?.amount ?? 0) * 1e9);
      expect(charged).toBeGreaterThan(0);
      const search = SEARCHES_ALWAYS.test(charge?.model ?? '') ? SEARCH_NANO : 0;
      if (usage.exact) expect(charged).toBe(usage.prompt * 1_000 + usage.completion * 2_000 + search);
    }
  });
});

/** Models of OpenAI's that search for every request, and do not tell: they have a price for that. */
const SEARCHES_ALWAYS = /-search-(preview|api)/;
const SEARCH_NANO = 500_000_000;

/** Every model of a vendor is served, under the vendor's name, at a price. Nothing is tried twice. */
async function environment(): Promise<Record<string, string>> {
  const serve = (provider: string): object => ({
    targets: [{ provider, model: '*' }],
    price: { input_per_million: '1', output_per_million: '2' },
    context_window: 4_000_000,
    max_output_tokens: 200_000,
    capabilities: {
      tools: true,
      vision: true,
      documents: true,
      audio_input: true,
      json_schema: true,
      reasoning: true,
    },
  });
  const config = {
    providers: {
      'gemini-compatible': {
        type: 'openai-compatible',
        base_url: `${upstream.url}/v1beta/openai`,
        api_key_env: 'KEY',
      },
    },
    models: {
      'openai/*': serve('openai'),
      ...Object.fromEntries(
        ['gpt-4o-search-preview', 'gpt-4o-mini-search-preview', 'gpt-5-search-api'].flatMap((name) =>
          [name, `${name}-*`].map((model) => [
            `openai/${model}`,
            {
              ...serve('openai'),
              targets: [{ provider: 'openai', model }],
              price: { input_per_million: '1', output_per_million: '2', per_request: '0.5' },
            },
          ]),
        ),
      ),
      'anthropic/*': serve('anthropic'),
      'google/*': serve('google'),
      'gemini-compatible/*': serve('gemini-compatible'),
    },
  };
  const file = join(inject('runDirectory'), `replay-${database.name}.yaml`);
  await writeFile(file, JSON.stringify(config));
  return {
    GATEWAY_CONFIG: file,
    KEY: 'fake-key',
    DATABASE_URL: database.url,
    BILLING_DEFAULT_BALANCE: '1000000',
    RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
    RATE_LIMIT_REQUESTS_PER_HOUR: '100000',
    RETRY_ENABLED: 'false',
    CIRCUIT_BREAKER_ENABLED: 'false',
  };
}

async function replay(recording: Recording): Promise<void> {
  for (const splitting of splittingsFor(recording)) {
    await upstream.reset();
    await upstream.answerNext(toAnswer(recording, splitting));
    const response = await send(recording);
    if (recording.response.status === 200 && !isErrorStream(recording)) {
      await expectSameAnswer(recording, response);
    } else {
      await expectJudgedError(recording, response);
    }
    expectSameRequest(recording, (await upstream.completions())[0]);
  }
}

/** As one piece and cut at random; short streams also byte by byte. */
function splittingsFor({ response }: Recording): Splitting[] {
  if (response.sse === undefined) return [{ kind: 'whole' }];
  const random: Splitting = { kind: 'random', seed: response.sse.length, maxBytes: 300 };
  return response.sse.length < 5_000 ? [random, { kind: 'bytes', size: 1 }] : [random];
}

function clientModel(recording: Recording): string {
  const provider =
    recording.provider === 'google' && recording.api === 'chat.completions'
      ? 'gemini-compatible'
      : recording.provider;
  return `${provider}/${vendorReplayOf(recording).upstreamModel(recording)}`;
}

function send(recording: Recording): Promise<Response> {
  const request = vendorReplayOf(recording).toClientRequest(recording);
  return gateway.complete({ ...request, model: clientModel(recording) });
}

/** Anthropic may answer 200 and then say nothing but an error. */
function isErrorStream({ response }: Recording): boolean {
  return response.sse?.trimStart().startsWith('event: error') ?? false;
}

async function expectSameAnswer(recording: Recording, response: Response): Promise<void> {
  if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`);
  const completion = await readCompletion(recording, response);
  expect(completion.model).toBe(clientModel(recording));
  const expected = vendorReplayOf(recording).readAnswer(recording);
  expectContent(completion, expected);
  expectUsage(recording, completion, expected);
  if (expected.usage) {
    const exact = !recording.tags.includes('builtin-tools');
    answered.set(response.headers.get('x-request-id') ?? '', { ...expected.usage, exact });
  }
}

async function readCompletion(recording: Recording, response: Response): Promise<ChatCompletion> {
  expect(response.headers.get('x-gateway-model')).toBe(vendorReplayOf(recording).upstreamModel(recording));
  if (!recording.stream) return expectChatCompletion(await response.json());
  const { chunks, error, done } = await readSse(response);
  expect(error).toBeUndefined();
  expect(done).toBe(true);
  return expectChatCompletion(foldChunks(chunks));
}

function expectContent(completion: ChatCompletion, expected: RecordedAnswer): void {
  const [choice] = completion.choices;
  const calls = choice?.message.tool_calls ?? [];
  expect(completion.choices).toHaveLength(expected.choices);
  expect(choice?.message.content ?? '').toBe(expected.text);
  expect(choice?.message.reasoning_content ?? '').toBe(expected.reasoning);
  if (expected.refusal) expect(choice?.message.refusal).toBe(expected.refusal);
  expect(calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)])).toEqual(
    expected.calls.map((call) => [call.name, call.arguments]),
  );
  for (const [index, call] of expected.calls.entries()) if (call.id) expect(calls[index]?.id).toBe(call.id);
  expect(choice?.finish_reason).toBe(expected.finishReason);
}

/** A stream shows its counts only to a client that asked for them. */
function expectUsage(recording: Recording, completion: ChatCompletion, { usage }: RecordedAnswer): void {
  const options = recording.request.body['stream_options'] as { include_usage?: boolean } | undefined;
  if (recording.stream && !options?.include_usage) {
    expect(completion.usage).toBeUndefined();
    return;
  }
  if (!usage) return;
  expect(completion.usage).toMatchObject({
    prompt_tokens: usage.prompt,
    completion_tokens: usage.completion,
    total_tokens: usage.prompt + usage.completion,
  });
  expect(completion.usage?.prompt_tokens_details?.cached_tokens).toBe(usage.cached);
  expect(completion.usage?.completion_tokens_details?.reasoning_tokens).toBe(usage.reasoning);
}

function expectSameRequest(recording: Recording, received: RecordedRequest | undefined): void {
  const { canonicalRequest, upstreamModel } = vendorReplayOf(recording);
  const body = received?.json as Record<string, unknown>;
  expect(received?.model).toBe(upstreamModel(recording));
  expect(canonicalRequest(body)).toEqual(canonicalRequest(recording.request.body));
}

/** What the gateway calls a vendor's failure. */
function judgementOf({ response }: Recording): GatewayErrorCode {
  const text = JSON.stringify(response.body ?? '');
  if (response.status === 401 || text.includes('API_KEY_INVALID')) return 'provider_auth_failed';
  const judgements: Record<number, GatewayErrorCode> = {
    // a stream that says nothing but `overloaded_error`
    200: 'provider_overloaded',
    400: 'provider_rejected',
    404: 'model_not_found',
    429: 'provider_rate_limited',
    500: 'provider_bad_response',
    503: 'provider_overloaded',
    529: 'provider_overloaded',
  };
  return judgements[response.status] ?? 'internal_error';
}

/** An error before the first chunk has a status of its own, also when a stream was asked for. */
async function expectJudgedError(recording: Recording, response: Response): Promise<void> {
  const { status, type } = GATEWAY_ERRORS[judgementOf(recording)];
  expect(response.status).toBe(status);
  const { error } = expectErrorEnvelope(await response.json());
  expect(error.type).toBe(type);
  expect(error.message).not.toMatch(/fake-|sk-|org-/);
  if (status === 429 || status === 503)
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
}

interface Transaction {
  readonly request_id: string;
  readonly amount: number;
  readonly model: string;
  readonly type: string;
}

/** Settled a moment after the answer, so they are waited for. */
async function readCharges(count: number): Promise<Transaction[]> {
  return eventually(`${count} charges`, async () => {
    const charges: Transaction[] = [];
    for (let offset = 0; ; offset += 100) {
      const response = await gateway.fetch(`/billing/transactions?limit=100&offset=${offset}`, {
        as: 'alice',
      });
      const { transactions } = (await response.json()) as { transactions: Transaction[] };
      charges.push(...transactions.filter((transaction) => transaction.type === 'charge'));
      if (transactions.length < 100) return charges.length >= count && charges;
    }
  });
}
