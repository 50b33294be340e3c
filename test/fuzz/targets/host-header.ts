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

const host = (): fc.Arbitrary<string> =>
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .array(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...PARTS) }, hostileText()), {
          maxLength: 4,
        })
        .map((parts) => parts.join('')),
    },
    fc.constantFrom('api.example.com', 'a.example.org:80'),
  );

/** Mostly one Host, sometimes two or none; and the one of `GET http://name/`. */
const naming = () =>
  fc.record({
    hosts: fc.oneof({ weight: 6, arbitrary: host().map((one) => [one]) }, fc.array(host(), { maxLength: 2 })),
    authority: fc.option(host(), { freq: 3, nil: undefined }),
  });

export const HOST_HEADER: FuzzTarget = {
  name: 'host-header',
  promise: 'a host that is not listed is refused, however it is written',
  shortRuns: 3_000,
  async property() {
    const { hostCheck } = await import('../../../src/edge/host-check.js');
    const check = hostCheck(ALLOWED);
    return fc.property(naming(), ({ hosts, authority }) => {
      let passed = false;
      let status = 0;
      const response = fakeResponse((code) => (status = code));
      const request = {
        headers: { host: hosts[0] },
        headersDistinct: { host: hosts.length === 0 ? undefined : hosts },
        httpVersionMinor: 1,
        url: authority === undefined ? '/v1/models' : `http://${authority}/v1/models`,
        gateway: { path: '/v1/models' },
        complete: true,
      };
      check(request as unknown as Request, response, () => (passed = true));
      assert.notEqual(passed, status === (hosts.length === 0 ? 400 : 403), 'either served or refused');
      // An authority ends where a path, a query or a fragment begins.
      const names = authority === undefined ? hosts : [...hosts, authority.replace(/[/?#][^]*/, '')];
      if (passed) for (const name of names) assert.match(name.trim(), SERVED);
      else assert.ok(!(hosts.length > 0 && names.every((name) => SERVED.test(name))), 'refused for nothing');
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
