import { ProviderError } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { describeError } from './describe-error.js';
import { maskSecrets } from './mask-secrets.js';

describe('what is told of an error', () => {
  it('never is a provider’s message, which may quote the prompt, nor that of the SDK behind it', () => {
    const sdk = Object.assign(new Error('400 your prompt "tell me a secret" is bad'), {
      status: 400,
      error: { text: 'tell me a secret' },
    });
    const provider = new ProviderError('provider_rejected', 'your prompt "tell me a secret" is bad', {
      processed: 'no',
      countsAsFailure: false,
      tryElsewhere: false,
      cause: sdk,
    });
    const described = describeError(new Error('translation failed', { cause: provider }));
    expect(described).toMatchObject({
      message: 'translation failed',
      cause: { type: 'ProviderError', code: 'provider_rejected', cause: { message: 'HTTP status 400' } },
    });
    expect(JSON.stringify(described)).not.toContain('secret');
  });

  it('ends, also when causes go round in a circle', () => {
    const error = new Error('a');
    error.cause = error;
    expect(JSON.stringify(describeError(error)).match(/"message"/g)).toHaveLength(4);
  });

  it('has no line of the message among the frames, whatever it looks like', () => {
    const error = Object.assign(new Error('400 bad:\n    at the end of your prompt'), { status: 400 });
    const { stack } = describeError(error);
    expect(stack).toMatch(/^ {4}at /);
    expect(stack).not.toContain('prompt');
  });

  it('takes no longer for a message of many lines', () => {
    const startedMs = performance.now();
    expect(describeError(new Error(`x${'\n'.repeat(30_000)}y`)).stack).toMatch(/^ {4}at /);
    expect(performance.now() - startedMs).toBeLessThan(500);
  });

  it.each([
    [undefined, { type: 'undefined', message: 'not an error' }],
    ['a text', { type: 'string', message: 'a text' }],
    [{ secret: 'x' }, { type: 'object', message: 'not an error' }],
  ])('of %o', (thrown, told) => {
    expect(describeError(thrown)).toEqual(told);
  });
});

describe('masking', () => {
  it.each([
    ['Authorization: Bearer abc.def-123456', 'abc.def'],
    ['{"api_key":"topsecret1"}', 'topsecret1'],
    ['x-goog-api-key: topsecret2', 'topsecret2'],
    ['redis://default:topsecret3@cache:6379/0', 'topsecret3'],
    ['GET /v1?key=topsecret4&x=1', 'topsecret4'],
    ['bad key sk-proj-topsecret5', 'topsecret5'],
    ['token eyJhbGciOiJIUzI1NiJ9.topsecret6.sig', 'topsecret6'],
    ['password=topsecret7, host=db', 'topsecret7'],
  ])('takes the secret out of %s', (text, secret) => {
    expect(maskSecrets(text)).not.toContain(secret);
    expect(maskSecrets(text)).toContain('[masked]');
  });

  it.each([
    'max_tokens: 100 is too many',
    'the key was not found',
    'https://example.com/path?page=2',
    'Bearer of news',
  ])('leaves %s as it is', (text) => {
    expect(maskSecrets(text)).toBe(text);
  });

  it.each([
    ['Bearer ', 20_000],
    ['a:', 50_000],
    ['a.', 50_000],
    ['a://', 30_000],
    ['sk-', 30_000],
    ['-eyJaaaaaa', 10_000],
  ])('takes no longer for a hostile text of %j', (piece, times) => {
    const startedMs = performance.now();
    maskSecrets(`key ${piece.repeat(times)}`);
    expect(performance.now() - startedMs).toBeLessThan(500);
  });
});
