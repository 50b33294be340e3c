import { describe, expect, it } from 'vitest';
import { callFor, loadStrategy, type Vendor } from '../../../test/fuzz/vendor-strategies.js';

const VENDORS: readonly Vendor[] = ['openai', 'compatible', 'anthropic', 'google'];
const lists = (count: number): string => `{"type":"message","content":[${'[],'.repeat(count)}1]}`;

async function failureOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  return undefined;
}

async function drained(vendor: Vendor, text: string): Promise<void> {
  const stream = await (await loadStrategy(vendor))([Buffer.from(text)]).stream(callFor(true));
  const { events } = stream;
  for await (const _ of events);
}

const fault = (words: string) =>
  expect.objectContaining({
    code: 'provider_bad_response',
    message: expect.stringContaining(words) as string,
  }) as unknown;

describe.each(VENDORS)('of %s', (vendor) => {
  it('an answer over a bound is told for what it is', async () => {
    const strategyOver = await loadStrategy(vendor);
    const body = Buffer.from(lists(1_100_000));
    const error = await failureOf(() => strategyOver([body]).complete(callFor(false)));
    expect(error).toEqual(fault('answer has too many lists and objects.'));
  });

  it.each([
    ['with too much', `data: ${lists(300_000)}\n\n`, 'answer has too many lists and objects.'],
    ['nested too deeply', `data: ${'['.repeat(200_000)}\n\n`, 'answer is nested too deeply.'],
    ['too large', `data: "${'a'.repeat(9 * 1024 * 1024)}"\n\n`, 'answer has an event that is too large.'],
    [
      'too large, in no event',
      `[{"a":"${'a'.repeat(9 * 1024 * 1024)}`,
      'answer has an event that is too large.',
    ],
  ])('so is an event: %s', async (_what, text, words) => {
    expect(await failureOf(() => drained(vendor, text))).toEqual(fault(words));
  });
});
