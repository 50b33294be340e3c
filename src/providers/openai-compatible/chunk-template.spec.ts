import { describe, expect, it } from 'vitest';
import { ChunkTemplate, type RewrittenChunk } from './chunk-template.js';
import type { WireObject } from './openai-compatible.wire.js';

const rename = (frame: WireObject) => ({ ...frame, model: 'client' });

function chunk(delta: string, tail = '"finish_reason":null}]'): string {
  return `{"id":"c","model":"upstream","choices":[{"index":0,"delta":${delta},${tail}}`;
}

function learned(json: string): { rewrite: (json: string) => RewrittenChunk | undefined } {
  const template = ChunkTemplate.learn(json, JSON.parse(json) as WireObject, rename);
  if (!template) throw new Error('nothing was learned');
  return {
    rewrite: (chunk) => {
      const rewritten = template.rewriteAt(chunk, 0);
      return rewritten?.end === chunk.length ? rewritten : undefined;
    },
  };
}

const PADDED = '"finish_reason":null}],"obfuscation":';

describe('a chunk like the one learned from', () => {
  const template = learned(chunk('{"role":"assistant","content":"","refusal":null}'));

  it.each([
    ['{"content":"plain"}', '{"content":"plain"}', 'plain'],
    ['{"content":"a\\"b\\\\"}', '{"content":"a\\"b\\\\"}', 'a"b\\'],
    ['{"content":"\\u00e9\\ud83d\\ude00é"}', '{"content":"\\u00e9\\ud83d\\ude00é"}', 'é😀é'],
    ['{"role":"assistant","content":"x"}', '{"content":"x"}', 'x'],
    ['{"reasoning":"why","content":null}', '{"reasoning_content":"why","content":null}', 'why'],
    ['{"content":null,"reasoning_content":"why"}', '{"content":null,"reasoning_content":"why"}', 'why'],
    ['{"refusal":"no"}', '{"refusal":"no"}', 'no'],
    ['{}', '{}', ''],
    [
      '{"tool_calls":[{"index":12,"function":{"arguments":"{\\"a\\""}}]}',
      '{"tool_calls":[{"index":12,"function":{"arguments":"{\\"a\\""}}]}',
      '{"a"',
    ],
    [
      '{"tool_calls":[{"function":{"arguments":"1"},"index":0}]}',
      '{"tool_calls":[{"function":{"arguments":"1"},"index":0}]}',
      '1',
    ],
  ])('is rewritten without parsing: %s', (delta, written, text) => {
    expect(template.rewrite(chunk(delta))).toMatchObject({
      json: chunk(written).replace('upstream', 'client'),
      outputText: text,
    });
  });

  it.each(['a\nb', '\n\ndata: [DONE]\n\n', 'a\\', 'a\tb'])(
    'is left to the parser, which refuses it, when a field has a name like %j',
    (name) => {
      expect(template.rewrite(chunk(`{"content":"x","${name}":null}`))).toBeUndefined();
      expect(template.rewrite(chunk(`{"${name}":null}`))).toBeUndefined();
    },
  );

  it('keeps its own padding', () => {
    const padded = learned(chunk('{"content":"a"}', `${PADDED}"xx"`));
    expect(padded.rewrite(chunk('{"content":"b"}', `${PADDED}"yyyy"`))?.json).toContain(
      '"obfuscation":"yyyy"}',
    );
    expect(padded.rewrite(chunk('{"content":"b"}', `${PADDED}"y\\"y"`))).toBeUndefined();
    expect(padded.rewrite(chunk('{"content":"b"}', `${PADDED}"y","more":1`))).toBeUndefined();
  });
});

describe('any other chunk', () => {
  const template = learned(chunk('{"content":"a"}'));

  it.each(['\n', '\n\ndata: [DONE]\n\n', '\u0000', '\t'])(
    'is left to the parser, which refuses it, when a control character stands in its text: %j',
    (character) => {
      expect(template.rewrite(chunk(`{"content":"x${character}y"}`))).toBeUndefined();
      expect(template.rewrite(chunk(`{"content":"\\"x${character}y"}`))).toBeUndefined();
      const padded = learned(chunk('{"content":"a"}', `${PADDED}"xx"`));
      expect(padded.rewrite(chunk('{"content":"b"}', `${PADDED}"x${character}y"`))).toBeUndefined();
    },
  );

  it.each([
    chunk('{"content":"a"}').replace('"c"', '"d"'),
    chunk('{"content":"a"}', '"finish_reason":"stop"}]'),
    chunk('{"content":"a"}', '"finish_reason":null}],"usage":{"prompt_tokens":1}'),
    chunk('{"content":["a"]}'),
    chunk('{"content":"a","odd":"b"}'),
    chunk('{"content":"a","reasoning":"b"}'),
    chunk('{"reasoning":"b","reasoning_content":"b"}'),
    chunk('{"content":"a\\x"}'),
    chunk('{"tool_calls":[{"index":0,"id":"call_1","function":{"arguments":""}}]}'),
    chunk('{"tool_calls":[{"index":0,"function":{"arguments":{"a":1}}}]}'),
    chunk('{"tool_calls":[{"index":,"function":{"arguments":"1"}}]}'),
    chunk('{"tool_calls":[{"index":00,"function":{"arguments":"1"}}]}'),
    chunk('{"tool_calls":[{"function":{"arguments":"1"},"index":}]}'),
    chunk('{"tool_calls":[{"function":{"arguments":"1"},"index":01}]}'),
    chunk('{"content":"a"}').slice(0, -1),
    chunk('{"content":"a').slice(0, -30),
    `${chunk('{"content":"a"}')} `,
    '',
    '{}',
  ])('has to be parsed: %s', (json) => {
    expect(template.rewrite(json)).toBeUndefined();
  });
});

describe('nothing is learned', () => {
  it.each([
    chunk('{"content":"a"}', '"finish_reason":"stop"}]'),
    chunk('{"content":"a"}', '"logprobs":{"content":[]},"finish_reason":null}]'),
    chunk('{"content":"a"}', '"finish_reason":null}],"usage":{"prompt_tokens":1}'),
    chunk('{"content":"a"}', '"finish_reason":null},{"index":1,"delta":{},"finish_reason":null}]'),
    '{"choices":[]}',
  ])('from %s', (json) => {
    expect(ChunkTemplate.learn(json, JSON.parse(json) as WireObject, rename)).toBeUndefined();
  });
});
