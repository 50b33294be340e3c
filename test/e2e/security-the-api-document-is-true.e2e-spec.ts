import { createDatabase, type Gateway, mintToken, startGateway, type TestDatabase } from '@app/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiDocument, type ApiOperation } from '../fuzz/api/api-document.js';
import { type ApiRequest, requestsTo } from '../fuzz/api/api-requests.js';

/** `API_FUZZ_RUNS=2000 API_FUZZ_SEED=7 npm run fuzz:api` is the long form of this. */
const RUNS = Number(process.env['API_FUZZ_RUNS'] ?? 20);
const SEED = Number(process.env['API_FUZZ_SEED'] ?? 20_261_129);
const TIMEOUT_MS = 60_000 + RUNS * 3_000;

const ROLES = {
  nobody: undefined,
  'a user': mintToken({ sub: 'alice' }),
  'an admin': mintToken({ sub: 'root', role: 'admin' }),
};

let database: TestDatabase;
let gateway: Gateway;
let document: ApiDocument;
let tried = 0;
const statuses: Record<string, number> = {};

beforeAll(async () => {
  database = await createDatabase();
  gateway = await startGateway({
    env: {
      DATABASE_URL: database.url,
      BILLING_DEFAULT_BALANCE: '1000000',
      RATE_LIMIT_REQUESTS_PER_MINUTE: '10000000',
      RATE_LIMIT_REQUESTS_PER_HOUR: '100000000',
      RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE: '10000000',
    },
  });
  document = new ApiDocument(
    (await (await gateway.fetch('/docs-json')).json()) as ConstructorParameters<typeof ApiDocument>[0],
  );
});
afterAll(async () => {
  console.log(`${tried} requests, seed ${SEED}, by status: ${JSON.stringify(statuses)}`);
  await gateway.stop();
  await database.drop();
});

/** @returns what is wrong with the answer, or `undefined` */
async function faultOf(
  operation: ApiOperation,
  request: ApiRequest,
  token: string | undefined,
): Promise<string | undefined> {
  const response = await fetch(gateway.url + request.target, {
    method: operation.method,
    headers: { ...request.headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    body: request.body,
  });
  const text = await response.text();
  const { status } = response;
  tried += 1;
  statuses[status] = (statuses[status] ?? 0) + 1;
  const problem =
    (status >= 500 ? 'the server failed' : undefined) ??
    (response.headers.get('x-request-id') ? undefined : 'no x-request-id') ??
    document.faultOf(operation, status, response.headers.get('content-type') ?? '', text);
  return problem && `${status}: ${problem}: ${text.slice(0, 300)}`;
}

describe('every operation of /docs-json', () => {
  it(
    'answers as it is documented, whatever is sent, and never fails',
    async () => {
      const faults: string[] = [];
      for (const operation of document.operations) {
        for (const [role, token] of Object.entries(ROLES)) {
          const runs = token === undefined ? Math.ceil(RUNS / 5) : RUNS;
          let last = '';
          const property = fc.asyncProperty(requestsTo(document, operation), async (request) => {
            const fault = await faultOf(operation, request, token);
            if (fault !== undefined) last = `${JSON.stringify(request)} -> ${fault}`;
            return fault === undefined;
          });
          const outcome = await fc.check(property, {
            seed: SEED,
            numRuns: runs,
            interruptAfterTimeLimit: 120_000,
          });
          if (outcome.failed) faults.push(`${operation.name} as ${role}: ${last}`);
        }
      }
      expect(faults).toEqual([]);
      expect(document.operations.length).toBeGreaterThan(30);
      // The requests got somewhere: right ones as well as wrong ones.
      expect(statuses['200']).toBeGreaterThan(tried * 0.15);
      expect(statuses['400']).toBeGreaterThan(tried * 0.1);
      expect(gateway.logs).not.toMatch(/uncaught|unhandled/i);
    },
    TIMEOUT_MS,
  );

  it('can be read without a parameter that is optional', async () => {
    const plain = document.operations.filter(
      ({ method, parameters }) => method === 'GET' && parameters.every((one) => one.required !== true),
    );
    for (const { path } of plain) {
      const response = await gateway.fetch(path, { as: { sub: 'root', role: 'admin' } });
      expect(response.status, path).toBe(200);
      await response.body?.cancel();
    }
    expect(plain.length).toBeGreaterThan(12);
  });

  it('has its own example among what it accepts', async () => {
    const faults: string[] = [];
    for (const { name, body, path } of document.operations) {
      if (body === undefined) continue;
      const example = document.resolve(body)['example'];
      if (example === undefined) continue;
      const response = await gateway.fetch(path.replace(/\{\w+\}/g, 'alice'), {
        as: { sub: 'root', role: 'admin' },
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(example),
      });
      if (![200, 404].includes(response.status))
        faults.push(`${name}: ${response.status} ${await response.text()}`);
    }
    expect(faults).toEqual([]);
  });
});
