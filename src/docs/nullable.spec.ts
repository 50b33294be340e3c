import { describe, expect, it } from 'vitest';
import { spellNullAsType } from './nullable.js';

describe('spellNullAsType', () => {
  it.each([
    [{ type: 'string', nullable: true }, { type: ['string', 'null'] }],
    [
      { type: 'string', enum: ['a'], nullable: true },
      { type: ['string', 'null'], enum: ['a', null] },
    ],
    [{ $ref: '#/x', nullable: true }, { oneOf: [{ $ref: '#/x' }, { type: 'null' }] }],
    [
      { description: 'D', allOf: [{ $ref: '#/x' }], nullable: true },
      { description: 'D', oneOf: [{ allOf: [{ $ref: '#/x' }] }, { type: 'null' }] },
    ],
    [{ oneOf: [{ type: 'string' }], nullable: true }, { oneOf: [{ type: 'string' }, { type: 'null' }] }],
    [
      { properties: { a: { type: 'array', items: { type: 'number', nullable: true } } } },
      { properties: { a: { type: 'array', items: { type: ['number', 'null'] } } } },
    ],
    [{ type: 'string' }, { type: 'string' }],
  ])('%j -> %j', (schema, spelt) => {
    spellNullAsType(schema);
    expect(schema).toEqual(spelt);
  });
});
