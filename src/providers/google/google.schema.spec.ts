import { describe, expect, it } from 'vitest';
import { toGeminiSchema } from './google.schema.js';

describe('a JSON Schema for Gemini', () => {
  it('says in known words what Gemini would pass over', () => {
    expect(
      toGeminiSchema({
        type: 'object',
        properties: {
          kind: { const: 'cat' },
          version: { type: 'integer', const: 2 },
          sure: { const: true },
          none: { const: null },
          size: { enum: ['s', 'm'] },
          level: { enum: [1, 2] },
          mixed: { enum: [1, 'a', null] },
          count: { type: 'integer', exclusiveMinimum: 0, exclusiveMaximum: 10 },
          index: { type: 'integer', minimum: 3, exclusiveMinimum: 0.5, maximum: 3, exclusiveMaximum: 9 },
          share: { const: 0.5 },
          part: { enum: [0, 0.5] },
          ratio: { type: 'number', exclusiveMinimum: 0 },
          owner: { allOf: [{ $ref: '#/definitions/Owner' }], description: 'who', default: null },
          either: { anyOf: [{ $ref: '#/definitions/Owner' }, { type: 'array', items: { const: 'x' } }] },
        },
        definitions: { Owner: { type: 'object', properties: { definitions: { const: 'a' } } } },
      }),
    ).toEqual({
      type: 'object',
      properties: {
        kind: { type: 'string', enum: ['cat'] },
        version: { type: 'integer', enum: [2] },
        share: { type: 'number', enum: [0.5] },
        sure: { type: 'boolean', enum: [true] },
        none: { type: 'null' },
        size: { type: 'string', enum: ['s', 'm'] },
        level: { type: 'integer', enum: [1, 2] },
        mixed: { enum: [1, 'a', null] },
        count: { type: 'integer', minimum: 1, maximum: 9 },
        index: { type: 'integer', minimum: 3, maximum: 3 },
        part: { type: 'number', enum: [0, 0.5] },
        ratio: { type: 'number', exclusiveMinimum: 0 },
        owner: { $ref: '#/$defs/Owner', description: 'who', default: null },
        either: {
          anyOf: [{ $ref: '#/$defs/Owner' }, { type: 'array', items: { type: 'string', enum: ['x'] } }],
        },
      },
      $defs: { Owner: { type: 'object', properties: { definitions: { type: 'string', enum: ['a'] } } } },
    });
  });

  it('leaves alone what only looks like a word of a schema', () => {
    const schema = {
      type: 'object',
      properties: { const: { type: 'string' }, enum: { type: 'string' }, allOf: { type: 'string' } },
      default: { const: 'x', definitions: {} },
      examples: [{ const: 'x' }],
      required: ['const'],
      const: { a: 1 },
    };
    expect(toGeminiSchema(schema)).toBe(schema);
  });

  it('keeps both where there are two kinds of definitions, and never changes what it was given', () => {
    const both = { $defs: { A: {} }, definitions: { B: {} }, $ref: '#/definitions/B' };
    expect(toGeminiSchema(both)).toEqual(both);
    const given = { properties: { a: { items: { const: 1 } } } };
    const before = structuredClone(given);
    toGeminiSchema(given);
    expect(given).toEqual(before);
  });
});
