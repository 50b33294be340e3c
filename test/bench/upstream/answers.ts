/** What the fake provider says, as bytes made once: the upstream must never be what a figure shows. */

const CREATED = 1_750_000_000;
const WORDS = ' the quick brown fox jumps over a lazy dog while'.split(/(?= )/);

const COMPLETION = JSON.stringify({
  id: 'chatcmpl-bench00000000000000000000',
  object: 'chat.completion',
  created: CREATED,
  model: 'gpt-4-0613',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'word '.repeat(150).trim(), refusal: null },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 210, completion_tokens: 150, total_tokens: 360 },
  system_fingerprint: null,
});

/** A whole answer of about 1 kB, head included. */
export const WHOLE = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: ${COMPLETION.length}\r\n\r\n${COMPLETION}`,
);

export const STREAM_HEAD = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n',
);

export const STREAM_END = Buffer.from('0\r\n\r\n');

/** One event, already framed as an HTTP chunk. */
function framed(data: string): Buffer {
  const event = `data: ${data}\n\n`;
  return Buffer.from(`${event.length.toString(16)}\r\n${event}\r\n`);
}

function chunk(delta: object, finishReason: string | null): Buffer {
  return framed(
    JSON.stringify({
      id: 'chatcmpl-bench00000000000000000000',
      object: 'chat.completion.chunk',
      created: CREATED,
      model: 'gpt-4-0613',
      system_fingerprint: null,
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
    }),
  );
}

/** The events of a stream with so many text chunks: role, text, finish, usage, `[DONE]`. */
export function streamEvents(textChunks: number): Buffer[] {
  const events = [chunk({ role: 'assistant', content: '' }, null)];
  for (let i = 0; i < textChunks; i++) events.push(chunk({ content: WORDS[i % WORDS.length] }, null));
  events.push(chunk({}, 'stop'));
  events.push(
    framed(
      JSON.stringify({
        id: 'chatcmpl-bench00000000000000000000',
        object: 'chat.completion.chunk',
        created: CREATED,
        model: 'gpt-4-0613',
        choices: [],
        usage: { prompt_tokens: 210, completion_tokens: textChunks, total_tokens: 210 + textChunks },
      }),
    ),
  );
  events.push(framed('[DONE]'));
  return events;
}

/** What a request says of the answer it wants: anywhere in its body, so that every gateway hands it on. */
export function marker(chunks: number, gapMs: number): string {
  return `bench chunks=${chunks} gap=${gapMs};`;
}
