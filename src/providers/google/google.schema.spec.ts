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
        sure: { type: 'boolean' },
        none: { type: 'null' },
        size: { type: 'string', enum: ['s', 'm'] },
        level: { type: 'integer', enum: [1, 2] },
        mixed: { enum: [1, 'a', null] },
        count: { type: 'integer', minimum: 1, maximum: 9 },
        index: { type: 'integer', minimum: 3, maximum: 3 },
        part: { type: 'number', enum: [0, 0.5] },
        ratio: { type: 'number', exclusiveMinimum: 0 },
        owner: { $ref: '#/$defs/Owner' },
        either: {
          anyOf: [{ $ref: '#/$defs/Owner' }, { type: 'array', items: { type: 'string', enum: ['x'] } }],
        },
      },
      $defs: { Owner: { type: 'object', properties: { definitions: { type: 'string', enum: ['a'] } } } },
    });
  });

  it('leaves nothing beside a reference that Gemini refuses there', () => {
    const $defs = { A: { type: 'object', properties: { a: { $ref: '#/$defs/A', title: 'a' } } } };
    expect(toGeminiSchema({ type: 'object', description: 'x', $ref: '#/$defs/A', $defs })).toEqual({
      $ref: '#/$defs/A',
      $defs: { A: { type: 'object', properties: { a: { $ref: '#/$defs/A' } } } },
    });
    const asked = {
      $ref: '#/$defs/A',
      $defs: { A: { type: 'object', properties: { $ref: { type: 'string' } } } },
    };
    expect(toGeminiSchema(asked)).toBe(asked);
  });

  it('joins a sole schema of allOf with what stands beside it, unless both constrain the same', () => {
    expect(toGeminiSchema({ allOf: [{ type: 'integer' }], exclusiveMinimum: 0 })).toEqual({
      type: 'integer',
      minimum: 1,
    });
    expect(toGeminiSchema({ allOf: [{ title: 'a', description: 'b' }], const: 'x', title: 'c' })).toEqual({
      type: 'string',
      title: 'c',
      description: 'b',
      enum: ['x'],
    });
    const both = { allOf: [{ type: 'object', required: ['a'] }], required: ['b'] };
    expect(toGeminiSchema(both)).toBe(both);
    expect(toGeminiSchema({ allOf: [{ minimum: 1 }, { maximum: 2 }], const: 1 })).toEqual({
      allOf: [{ minimum: 1 }, { maximum: 2 }],
      type: 'integer',
      enum: [1],
    });
  });

  it.each([{ enum: [true, false] }, { type: 'boolean', enum: [true] }, { type: 'boolean', const: false }])(
    'has no values of a boolean: Gemini takes those of texts and numbers: %j',
    (schema) => {
      expect(toGeminiSchema(schema)).toEqual({ type: 'boolean' });
    },
  );

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
    const both = { $defs: { A: {} }, definitions: { B: {} }, items: { $ref: '#/definitions/B' } };
    expect(toGeminiSchema(both)).toEqual(both);
    const given = { properties: { a: { items: { const: 1 } } } };
    const before = structuredClone(given);
    toGeminiSchema(given);
    expect(given).toEqual(before);
  });
});
