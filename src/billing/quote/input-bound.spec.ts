import type { ChatMessage, ChatRequest } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { boundInput, totalTokens } from './input-bound.js';

const WINDOW = 1_000_000;
const BASE64 = 'A'.repeat(400);

function tokens(request: Partial<ChatRequest>, model = 'gpt-4o'): number {
  return totalTokens(boundInput({ model, messages: [], ...request }, model, WINDOW), WINDOW);
}

const ofMessage = (message: object, model?: string) =>
  tokens({ messages: [{ role: 'user', content: '', ...message } as ChatMessage] }, model);
const ofPart = (part: object, model?: string) => ofMessage({ content: [part] }, model);
const inResult = (part: object) => ofPart({ type: 'tool_result', tool_use_id: 't', content: [part] });
const image = (url: string, rest: object = {}) => ({ type: 'image_url', image_url: { url, ...rest } });
const sound = (data: string, format = 'mp3') => ({ type: 'input_audio', input_audio: { data, format } });

/** With a name that says enough of what may be long. */
const named = (...parts: object[]) =>
  parts.map((part) => [JSON.stringify(part).slice(0, 110), part] as const);

const SMALL_PDF = `data:application/pdf;base64,${BASE64}`;

describe('a document that lies elsewhere counts whatever stands beside its id or address', () => {
  it.each(
    named(
      { type: 'file', file: {} },
      { type: 'file', file: { file_data: '', file_id: 'file-1' } },
      { type: 'file', file: { file_data: SMALL_PDF, file_id: 'file-1' } },
      { type: 'file', file: { file_data: SMALL_PDF, file_url: 'https://x/y.pdf' } },
      { type: 'file', file: { file_data: SMALL_PDF }, file_id: 'file-1' },
      { type: 'input_file', file_data: '', file_id: 'file-1' },
      { type: 'input_file', file_data: SMALL_PDF, file_url: 'https://x/y.pdf' },
      { type: 'document', source: { type: 'base64', data: '', file_id: 'file-1' } },
      { type: 'document', source: { type: 'url', data: BASE64, url: 'https://x/y.pdf' } },
      { type: 'document', source: { type: 'text', data: 'a', url: 'https://x/y.pdf' } },
      { type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'a' }], file_id: 'f' } },
      { type: 'document_url', document_url: 'https://x/y' },
      { type: 'film', film: ['https://x/y'] },
    ),
  )('%s', (_name, part) => {
    expect(ofPart(part)).toBe(WINDOW);
  });

  it.each(
    named(
      { type: 'file', file: { file_data: '', file_id: 'file-1' } },
      { type: 'document', source: { type: 'base64', data: BASE64, file_id: 'file-1' } },
      { type: 'document', source: { type: 'url', url: 'https://x/y.pdf' } },
    ),
  )('in a result: %s', (_name, part) => {
    expect(inResult(part)).toBe(WINDOW);
  });

  it('but not one that is there by value', () => {
    for (const part of [
      { type: 'file', file: { file_data: SMALL_PDF, filename: 'a.pdf', file_id: null } },
      { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: BASE64 } },
    ]) {
      expect(ofPart(part)).toBeGreaterThan(1_200);
      expect(ofPart(part)).toBeLessThan(8_000);
      expect(inResult(part)).toBeLessThan(8_000);
    }
  });

  it('nor one that goes to a tool, or that only says where something came from', () => {
    const made = { type: 'bash_code_execution_output', file_id: 'f' };
    for (const part of [
      { type: 'container_upload', file_id: 'f' },
      { type: 'bash_code_execution_tool_result', tool_use_id: 't', content: { content: [made] } },
      { type: 'text', text: 'a', citations: [{ type: 'page_location', file_id: 'f', cited_text: 'a' }] },
      { type: 'file_search_call', results: [{ file_id: 'f', text: 'a' }] },
    ]) {
      expect(ofPart(part)).toBeLessThan(1_000);
      expect(ofMessage({ provider_specific_fields: { anthropic_content: [part] } })).toBeLessThan(1_000);
    }
    expect(ofPart({ type: 'container_upload', file_url: 'https://x/y' })).toBe(WINDOW);
  });

  it('nor an address that is only told', () => {
    const found = { type: 'web_search_result', url: 'https://x/y.pdf', encrypted_content: BASE64 };
    for (const part of [
      { type: 'web_search_tool_result', tool_use_id: 't', content: [found] },
      { type: 'tool_use', id: 't', name: 'read', input: { file_url: 'https://x/y.pdf', file_id: 'f' } },
      { type: 'search_result', source: 'https://x/y.pdf', content: [{ type: 'text', text: 'a' }] },
    ]) {
      expect(ofPart(part)).toBeLessThan(1_000);
      expect(ofMessage({ provider_specific_fields: { anthropic_content: [part] } })).toBeLessThan(1_000);
    }
  });
});

it('a document that may be cited is told about: 674 tokens were billed for a short one', () => {
  const data = 'The Ruby programming language was created by Yukihiro Matsumoto in 1993.';
  const document = { type: 'document', source: { type: 'text', media_type: 'text/plain', data } };
  expect(ofPart({ ...document, citations: { enabled: true } })).toBeGreaterThan(1_000);
  expect(ofPart({ ...document, citations: { enabled: false } })).toBeLessThan(500);
  expect(ofPart({ type: 'file', file: { file_id: 'f' }, citations: { enabled: true } })).toBe(WINDOW);
});

describe('a field of a message that nobody here knows', () => {
  const plain = ofMessage({});

  it.each([
    [{ thinking_blocks: [{ type: 'thinking', thinking: 'x'.repeat(500), signature: BASE64 }] }, 900],
    [{ reasoning: 'x'.repeat(500) }, 500],
    [{ reasoning_details: [{ text: 'x'.repeat(500) }] }, 500],
    [{ tool_call_id: 'x'.repeat(500) }, 500],
    [{ annotations: [{ type: 'url_citation', url_citation: { title: 'x'.repeat(500) } }] }, 500],
    [{ images: [BASE64] }, 5_000],
    [{ images: [image('https://x/y.png'), image('https://x/z.png')] }, 10_000],
    [{ audio: { id: 'audio_1' } }, 16_000],
  ])('is counted: %j', (message, least) => {
    expect(ofMessage(message) - plain).toBeGreaterThanOrEqual(least);
    expect(ofMessage(message) - plain).toBeLessThan(least * 1.2);
  });

  it.each(
    named(
      { file_ids: ['f'] },
      { video_url: 'https://x/y' },
      { attachments: [{ file_id: 'f' }] },
      { images: [image('https://youtu.be/x')] },
      { provider_specific_fields: { parts: [{ fileData: { fileUri: 'gs://x/y' } }] } },
      {
        provider_specific_fields: { anthropic_content: [{ type: 'document', source: { url: 'https://x' } }] },
      },
      {
        provider_specific_fields: { response_output: [{ content: [{ type: 'input_file', file_id: 'f' }] }] },
      },
      {
        tool_calls: [
          { id: 'c', type: 'function', provider_specific_fields: { part: { file_uri: 'gs://x' } } },
        ],
      },
    ),
  )('and names a file: %s', (_name, message) => {
    expect(ofMessage(message)).toBe(WINDOW);
  });

  it('has media by value at what they may cost, and not as text', () => {
    const png = 'A'.repeat(1_000_000);
    const picture = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } };
    const inline = { inlineData: { mimeType: 'image/png', data: png } };
    for (const fields of [{ anthropic_content: [picture] }, { parts: [inline] }]) {
      expect(ofMessage({ provider_specific_fields: fields }) - plain).toBeGreaterThan(5_000);
      expect(ofMessage({ provider_specific_fields: fields }) - plain).toBeLessThan(6_000);
    }
    expect(inResult(picture)).toBeLessThan(6_000);
    const film = { inline_data: { mime_type: 'video/mp4', data: BASE64 } };
    expect(ofMessage({ provider_specific_fields: { parts: [film] } })).toBe(WINDOW);
  });

  it('nor of the request itself', () => {
    expect(tokens({ documents: [{ text: 'x'.repeat(500) }] }) - tokens({})).toBeGreaterThan(500);
    expect(tokens({ extra_body: { google: { cachedContent: 'cachedContents/x' } } })).toBe(WINDOW);
    expect(tokens({ user: 'x'.repeat(500), metadata: { a: 'x'.repeat(500) }, seed: 1 })).toBe(tokens({}));
  });
});

describe('what a part is called is not what it is', () => {
  const GEMINI = 'gemini-2.5-flash';
  const plain = ofPart({ type: 'text', text: '' });

  it.each(
    named(
      image(`data:application/pdf;base64,${'A'.repeat(4000)}`),
      image(`data:;base64,${'A'.repeat(4000)}`),
      sound(`data:application/pdf;base64,${'A'.repeat(4000)}`),
      sound(`DATA: text/plain;base64,${'A'.repeat(4000)}`),
    ),
  )('a document: %s', (_name, part) => {
    expect(ofPart(part, GEMINI) - plain).toBeGreaterThan(12_000);
  });

  it.each(
    named(
      image(`data:video/mp4;base64,${BASE64}`),
      image(`data:;base64,${BASE64}`, { mime_type: 'video/mp4' }),
      image('https://x.example/y.pdf'),
      image('https://x.example/y.mp4?size=1'),
      image('https://x.example/y', { format: 'video/mp4' }),
      image('https://x.example/y.png', { mime_type: 'application/pdf' }),
      image('https://user@www.youtube.com:443/watch?v=1'),
      image('https://generativelanguage.googleapis.com/v1beta/files/abc.png'),
      sound(`data:video/mp4;base64,${BASE64}`),
      sound('https://x.example/y.mp3'),
      { type: 'file', file: { file_data: `data:video/mp4;base64,${BASE64}` } },
      { type: 'file', file: { file_data: BASE64, filename: 'a.mp4' } },
      { type: 'file', file: { file_data: BASE64, format: 'video/mp4' } },
      { type: 'video_url', video_url: { url: `data:video/webm;base64,${BASE64}` } },
    ),
  )('a film, or what lies elsewhere: %s', (_name, part) => {
    expect(ofPart(part, GEMINI)).toBe(WINDOW);
  });

  it('an address without a type is whatever it leads to where the model takes that', () => {
    expect(ofPart(image('https://x.example/y'), GEMINI)).toBe(WINDOW);
    expect(ofPart(image('https://x.example/y'), 'models/gemini-3-pro')).toBe(WINDOW);
    expect(ofPart(image('https://x.example/y'), 'claude-opus-5')).toBeLessThan(6_000);
  });

  it.each(
    named(
      image('https://x.example/y.JPG?size=1'),
      image('https://x.example/y', { mime_type: 'image/jpeg' }),
      image('https://x.example/y', { format: 'image/png' }),
      image(`data:image/png;base64,${'A'.repeat(1_000_000)}`),
      image(`data:;base64,${'A'.repeat(1_000_000)}`, { mime_type: 'image/png' }),
    ),
  )('a picture is one: %s', (_name, part) => {
    expect(ofPart(part, GEMINI)).toBeLessThan(6_000);
  });

  it('sound in a data URL is sound', () => {
    const data = 'A'.repeat(640_000);
    expect(ofPart(sound(`data:audio/wav;base64,${data}`), GEMINI)).toBeLessThan(2_500);
    expect(ofPart(sound(`data:audio/mpeg;base64,${data}`, 'wav'), GEMINI)).toBeGreaterThan(15_000);
  });

  it('counts the seconds of a wave file by the rate that it says', () => {
    const wave = (rate: number, { format = 1, before = '', frame = 1 } = {}): string => {
      const file = Buffer.alloc(100_000);
      file.write(`RIFF----WAVE${before}`, 'latin1');
      const at = 12 + before.length;
      file.write('fmt ', at, 'latin1');
      file.writeUInt32LE(16, at + 4);
      file.writeUInt16LE(format, at + 8);
      file.writeUInt32LE(rate, at + 12);
      file.writeUInt32LE(1_000_000, at + 16); // bytes a second, which nobody reads
      file.writeUInt16LE(frame, at + 20);
      return file.toString('base64');
    };
    const ofWave = (data: string) => ofPart(sound(data, 'wav'), GEMINI);
    expect(ofWave(wave(16_000, { frame: 2 }))).toBeLessThan(600);
    expect(ofWave(wave(100))).toBeGreaterThan((100_000 / 100) * 32);
    expect(ofPart(sound(`data:audio/wav;base64,${wave(100)}`), GEMINI)).toBeGreaterThan((100_000 / 100) * 32);
    expect(ofWave(wave(100, { before: 'JUNK\u0004\0\0\0four' }))).toBeGreaterThan(30_000);
    expect(ofWave(wave(8_000, { format: 2, frame: 256 }))).toBeGreaterThan(100 * 32);
    const inline = { type: 'file', file: { file_data: `data:audio/wav;base64,${wave(1)}` } };
    expect(ofPart(inline, GEMINI)).toBeGreaterThan(900_000);
    expect(ofWave(Buffer.from('RF64----WAVE').toString('base64') + 'A'.repeat(90_000))).toBeGreaterThan(
      900_000,
    );
    expect(ofWave(wave(0))).toBeGreaterThan(900_000);
    expect(ofWave(Buffer.from('RIFF----WAVE').toString('base64') + 'A'.repeat(90_000))).toBeGreaterThan(
      900_000,
    );
  });

  it('what may be sound is bounded as sound, the dearest kind', () => {
    const { audioTokens } = boundInput(
      { model: 'm', messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'f' } }] }] },
      GEMINI,
      WINDOW,
    );
    expect(audioTokens).toBe(WINDOW);
  });
});

it.each([
  ['in the place of an id', { tool_call_id: [{ toString: 1 }] }],
  ['in the place of a refusal', { role: 'assistant', refusal: { toString: 1, valueOf: 1 } }],
  [
    'in the place of a format',
    { content: [{ type: 'input_audio', input_audio: { data: BASE64, format: { toString: 1 } } }] },
  ],
])('is bounded with something that is no text %s', (_where, message) => {
  expect(ofMessage(message)).toBeGreaterThan(ofMessage({}));
});

it('tells all that it took for text, and nothing else', () => {
  const texts: string[] = [];
  const messages = [
    { role: 'user', content: [{ type: 'text', text: 'one' }, image('https://x/two.png')], name: 'three' },
    { role: 'assistant', content: null, thinking_blocks: [{ type: 'thinking', thinking: 'four' }] },
    { role: 'assistant', content: 'five', provider_specific_fields: { parts: [{ text: 'six' }] } },
  ] as ChatMessage[];
  const request = { model: 'm', messages, tools: [{ type: 'seven' }], documents: ['eight'] };
  const { textBytes } = boundInput(request, 'm', 0, texts);
  const text = texts.join('\n');
  for (const word of ['one', 'three', 'four', 'five', 'six', 'seven', 'eight']) expect(text).toContain(word);
  expect(text).not.toContain('two');
  expect(textBytes).toBe(texts.reduce((sum, each) => sum + each.length, 0));
});
