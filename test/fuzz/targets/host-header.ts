import assert from 'node:assert/strict';
import type { Request, Response } from 'express';
import fc from 'fast-check';
import type { FuzzTarget } from '../fuzz-target.js';
import { hostileText } from '../hostile-json.js';

const ALLOWED = ['api.example.com', '*.example.org', '127.0.0.1', '[::1]'];
/** Every host that may be served, judged apart: exact names, or one or more labels before the suffix. */
const SERVED = /^(api\.example\.com|([a-z0-9_-]{1,63}\.)+example\.org|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;

const PARTS = [
  'api.example.com',
  'example.com',
  'example.org',
  'a.example.org',
  '.example.org',
  'evil.example',
  '127.0.0.1',
  '[::1]',
  '::1',
  'localhost',
  ':80',
  ':',
  '@',
  '/',
  '\\',
  '#',
  '?',
  '%00',
  '\t',
  ' ',
  '.',
  '..',
  'API.EXAMPLE.COM',
  'ａpi.example.com',
  '\u0000',
];

const hosts = (): fc.Arbitrary<string | undefined> =>
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .array(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...PARTS) }, hostileText()), {
          maxLength: 4,
        })
        .map((parts) => parts.join('')),
    },
    fc.constant(undefined),
  );

export const HOST_HEADER: FuzzTarget = {
  name: 'host-header',
  promise: 'a host that is not listed is refused, however it is written',
  shortRuns: 3_000,
  async property() {
    const { hostCheck } = await import('../../../src/edge/host-check.js');
    const check = hostCheck(ALLOWED);
    return fc.property(hosts(), (host) => {
      let passed = false;
      let status = 0;
      const response = fakeResponse((code) => (status = code));
      const request = {
        headers: { host },
        headersDistinct: { host: host === undefined ? undefined : [host] },
        httpVersionMinor: 1,
        url: '/v1/models',
        gateway: { path: '/v1/models' },
        complete: true,
      };
      check(request as unknown as Request, response, () => (passed = true));
      assert.notEqual(passed, status === (host === undefined ? 400 : 403), 'either served or refused');
      if (passed) assert.match((host ?? '').trim(), SERVED);
      else assert.doesNotMatch(host ?? '', SERVED);
    });
  },
};

/** As much of a response as an error answer uses. */
function fakeResponse(onStatus: (status: number) => void): Response {
  const response = {
    headersSent: false,
    setHeader: () => response,
    end: () => response,
    set statusCode(code: number) {
      onStatus(code);
    },
  };
  return response as unknown as Response;
}
