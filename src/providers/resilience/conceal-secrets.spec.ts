import { describe, expect, it } from 'vitest';
import { secretsOf } from './conceal-secrets.js';

describe('what a provider knows of us', () => {
  it('is the key, and headers that stand for one', () => {
    const headers = {
      'api-key': 'azure-key-0123456789',
      authorization: 'Bearer other-token-0123',
      'api-version': '2024-10-21-preview',
      'x-trace-token': 'short',
    };
    expect(secretsOf({ baseUrl: 'http://a', apiKey: 'sk-0123456789', headers })).toEqual([
      'sk-0123456789',
      'azure-key-0123456789',
      'other-token-0123',
    ]);
    expect(secretsOf({ baseUrl: 'http://a', apiKey: undefined })).toEqual([]);
  });
});
