import { IsOptional, IsString } from 'class-validator';
import { describe, expect, it } from 'vitest';
import { GatewayValidationPipe } from './gateway-validation.pipe.js';

class Body {
  @IsOptional()
  @IsString()
  text?: string;
}

const pipe = new GatewayValidationPipe();
const take = (value: unknown, metatype: new () => object = Body) =>
  pipe.transform(value, { type: 'body', metatype });
const names = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`n${at}`, at]));

/** Throws at whoever reads so far. */
const endless = (count: number) =>
  Object.defineProperty(names(count), 'last', {
    enumerable: true,
    get: () => expect.unreachable('every value was read'),
  });

describe('GatewayValidationPipe', () => {
  it('takes what the DTO has, and refuses by name what it has not', async () => {
    expect(await take({ text: 'a' })).toEqual({ text: 'a' });
    await expect(take({ text: 'a', more: 1 })).rejects.toMatchObject({ code: 'invalid_body', param: 'more' });
    await expect(take({ text: 1 })).rejects.toMatchObject({ code: 'invalid_body', param: 'text' });
  });

  it.each<[string, () => unknown]>([
    ['in the body', () => endless(1_000)],
    ['in a field', () => ({ text: endless(1_000) })],
    ['in a list', () => ({ text: Array(50).fill(endless(1_000)) })],
  ])('does not read a flood of values to its end: %s', async (_where, body) => {
    await expect(take(body())).rejects.toMatchObject({ code: 'invalid_body' });
  });

  it('leaves a body without a DTO alone', async () => {
    expect(await take(names(1_000), Object)).toEqual(names(1_000));
  });
});
