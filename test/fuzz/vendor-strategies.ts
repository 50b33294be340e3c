import { parseAnswerJson, type ProviderCall, type ProviderStrategy } from '@app/contracts';

export type Vendor = 'openai' | 'compatible' | 'anthropic' | 'google';

/** `model` of every answer: what the client asked for. */
export const CLIENT_MODEL = 'the model that was asked for';

/** The strategies, whose clients answer with these bytes: everything between the wire and the port is real. */
export type StrategyOver = (bytes: readonly Uint8Array[]) => ProviderStrategy;

export async function loadStrategy(vendor: Vendor): Promise<StrategyOver> {
  switch (vendor) {
    case 'openai':
    case 'compatible':
      return loadOpenAi(vendor);
    case 'anthropic':
      return loadAnthropic();
    case 'google':
      return loadGoogle();
  }
}

async function loadOpenAi(vendor: 'openai' | 'compatible'): Promise<StrategyOver> {
  const { OpenAiCompatibleStrategy } =
    await import('../../src/providers/openai-compatible/openai-compatible.strategy.js');
  const { compatibleDialect } =
    await import('../../src/providers/openai-compatible/openai-compatible.dialect.js');
  const { OPENAI_DIALECT } = await import('../../src/providers/openai/openai.dialect.js');
  const dialect = vendor === 'openai' ? OPENAI_DIALECT : compatibleDialect('local');
  return (bytes) => new OpenAiCompatibleStrategy(sdkClient(bytes), dialect);
}

async function loadAnthropic(): Promise<StrategyOver> {
  const { AnthropicStrategy } = await import('../../src/providers/anthropic/anthropic.strategy.js');
  return (bytes) => new AnthropicStrategy(sdkClient(bytes));
}

async function loadGoogle(): Promise<StrategyOver> {
  const { GoogleStrategy } = await import('../../src/providers/google/google.strategy.js');
  return (bytes) => new GoogleStrategy('google', sdkClient(bytes));
}

/** The one method of a vendor's SDK that the strategies call. `never`: it stands for the whole SDK. */
function sdkClient(bytes: readonly Uint8Array[]): never {
  const client = { post: () => ({ asResponse: () => Promise.resolve(responseOf(bytes)) }) };
  return client as never;
}

/** The part of `Response` that the strategies read. */
function responseOf(bytes: readonly Uint8Array[]) {
  const text = (): Promise<string> => Promise.resolve(Buffer.concat(bytes).toString('utf8'));
  return {
    ok: true,
    status: 200,
    headers: new Headers(),
    body: piecesOf(bytes),
    text,
    json: async (): Promise<unknown> => parseAnswerJson(await text()),
  };
}

async function* piecesOf(bytes: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* bytes;
}

export function callFor(stream: boolean): ProviderCall {
  return {
    request: { model: CLIENT_MODEL, messages: [{ role: 'user', content: 'Say hello.' }], stream },
    upstreamModel: 'upstream-model',
    clientModel: CLIENT_MODEL,
    maxOutputTokens: 64,
    requestId: 'request-1',
    signal: new AbortController().signal,
    dropUnsupported: false,
  };
}
