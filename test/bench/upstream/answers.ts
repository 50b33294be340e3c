/** What the fake providers say, as bytes made once: the upstream must never be what a figure shows. */

export type Vendor = 'openai' | 'anthropic' | 'google';

const CREATED = 1_750_000_000;
const INPUT_TOKENS = 210;
const WORDS = ' the quick brown fox jumps over a lazy dog while'.split(/(?= )/);
const TEXT = 'word '.repeat(150).trim();
const TEXT_TOKENS = 150;

/** Whole answers of about 1 kB. */
const WHOLE_BODIES: Readonly<Record<Vendor, object>> = {
  openai: {
    id: 'chatcmpl-bench00000000000000000000',
    object: 'chat.completion',
    created: CREATED,
    model: 'gpt-4-0613',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: TEXT, refusal: null },
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage: {
      prompt_tokens: INPUT_TOKENS,
      completion_tokens: TEXT_TOKENS,
      total_tokens: INPUT_TOKENS + TEXT_TOKENS,
    },
    system_fingerprint: null,
  },
  anthropic: {
    ...anthropicMessage('end_turn'),
    content: [{ type: 'text', text: TEXT }],
    usage: anthropicUsage(TEXT_TOKENS),
  },
  google: {
    candidates: [{ content: { parts: [{ text: TEXT }], role: 'model' }, finishReason: 'STOP', index: 0 }],
    ...googleTrailer(TEXT_TOKENS),
  },
};

/** Head and body. */
export const WHOLE: Readonly<Record<Vendor, Buffer>> = {
  openai: wholeAnswer(WHOLE_BODIES.openai),
  anthropic: wholeAnswer(WHOLE_BODIES.anthropic),
  google: wholeAnswer(WHOLE_BODIES.google),
};

export const STREAM_HEAD = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n',
);

export const STREAM_END = Buffer.from('0\r\n\r\n');

/** A stream with so many text chunks. Its last `closing` events come without a pause, as providers send them. */
export interface StreamEvents {
  readonly events: readonly Buffer[];
  readonly closing: number;
}

export function streamEvents(vendor: Vendor, textChunks: number): StreamEvents {
  const words = Array.from({ length: textChunks }, (_, index) => WORDS[index % WORDS.length]!);
  switch (vendor) {
    case 'openai':
      return { events: openaiEvents(words), closing: 3 };
    case 'anthropic':
      return { events: anthropicEvents(words), closing: 3 };
    case 'google':
      return { events: googleEvents(words), closing: 1 };
  }
}

/** Role, text, finish, usage, `[DONE]`. */
function openaiEvents(words: readonly string[]): Buffer[] {
  const shell = {
    id: 'chatcmpl-bench00000000000000000000',
    object: 'chat.completion.chunk',
    created: CREATED,
    model: 'gpt-4-0613',
    system_fingerprint: null,
  };
  const chunk = (delta: object, finishReason: string | null): Buffer =>
    framed({ ...shell, choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }] });
  const usage = {
    prompt_tokens: INPUT_TOKENS,
    completion_tokens: words.length,
    total_tokens: INPUT_TOKENS + words.length,
  };
  return [
    chunk({ role: 'assistant', content: '' }, null),
    ...words.map((content) => chunk({ content }, null)),
    chunk({}, 'stop'),
    framed({ ...shell, choices: [], usage }),
    inChunk('data: [DONE]\n\n'),
  ];
}

function anthropicEvents(words: readonly string[]): Buffer[] {
  const named = (event: { type: string }): Buffer =>
    inChunk(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  const events = [
    {
      type: 'message_start',
      message: { ...anthropicMessage(null), content: [], usage: anthropicUsage(1) },
    },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    ...words.map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
    { type: 'content_block_stop', index: 0 },
    {
      type: 'message_delta',
      delta: { stop_reason: 'end_turn', stop_sequence: null },
      usage: { output_tokens: words.length },
    },
    { type: 'message_stop' },
  ];
  return events.map(named);
}

function googleEvents(words: readonly string[]): Buffer[] {
  return words.map((text, index) => {
    const candidate = { content: { parts: [{ text }], role: 'model' }, index: 0 };
    const isLast = index === words.length - 1;
    return framed({
      candidates: [isLast ? { ...candidate, finishReason: 'STOP' } : candidate],
      ...googleTrailer(index + 1),
    });
  });
}

function anthropicMessage(stopReason: string | null): object {
  return {
    id: 'msg_bench00000000000000000000',
    type: 'message',
    role: 'assistant',
    model: 'claude-3-opus-20240229',
    stop_reason: stopReason,
    stop_sequence: null,
  };
}

function anthropicUsage(outputTokens: number): object {
  return {
    input_tokens: INPUT_TOKENS,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: outputTokens,
  };
}

function googleTrailer(outputTokens: number): object {
  return {
    usageMetadata: {
      promptTokenCount: INPUT_TOKENS,
      candidatesTokenCount: outputTokens,
      totalTokenCount: INPUT_TOKENS + outputTokens,
    },
    modelVersion: 'gemini-1.5-pro',
    responseId: 'bench',
  };
}

function wholeAnswer(body: object): Buffer {
  const text = JSON.stringify(body);
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

/** One event. */
function framed(data: object): Buffer {
  return inChunk(`data: ${JSON.stringify(data)}\n\n`);
}

/** As HTTP frames it. */
function inChunk(event: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(event).toString(16)}\r\n${event}\r\n`);
}
