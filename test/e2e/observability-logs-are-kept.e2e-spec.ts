import { createDatabase, eventually, type Gateway, startGateway, type TestDatabase } from '@app/testing';
import { mkdtemp, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

let database: TestDatabase;
let gateway: Gateway;
let logFile: string;
let auditFile: string;

beforeAll(async () => {
  database = await createDatabase();
  const folder = await mkdtemp(join(inject('runDirectory'), 'logs-'));
  logFile = join(folder, 'gateway.log');
  auditFile = join(folder, 'audit.log');
  gateway = await startGateway({
    env: { DATABASE_URL: database.url, LOG_FILE: logFile, AUDIT_LOG_FILE: auditFile },
  });
});
afterAll(async () => {
  await gateway.stop();
  await database.drop();
});

const hello = { model: 'echo', messages: [{ role: 'user', content: 'hello' }] };

async function linesOf(file: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(file, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

function lineWith(file: string, fields: Record<string, unknown>): Promise<Record<string, unknown>> {
  return eventually(`a line with ${JSON.stringify(fields)}`, async () =>
    (await linesOf(file)).find((line) => Object.entries(fields).every(([key, value]) => line[key] === value)),
  );
}

describe('the log', () => {
  it('has one line for a completion, with the promised keys', async () => {
    await (await gateway.complete(hello, 'alice', { 'x-request-id': 'first' })).text();
    expect(await lineWith(logFile, { request_id: 'first' })).toMatchObject({
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      level: 'info',
      message: 'completion',
      model: 'echo',
      user_id: 'alice',
      duration_ms: expect.any(Number),
      provider: 'echo',
      status: 200,
      input_tokens: expect.any(Number),
      output_tokens: expect.any(Number),
      cost: expect.stringMatching(/^0\.\d+$/),
      attempts: 1,
    });
  });

  it('has one line for another request, and none for probes', async () => {
    await (
      await gateway.fetch('/v1/models?secret=1', { as: 'alice', headers: { 'x-request-id': 'models' } })
    ).text();
    await (await gateway.fetch('/health', { headers: { 'x-request-id': 'probe' } })).text();
    expect(await lineWith(logFile, { request_id: 'models' })).toMatchObject({
      message: 'request',
      method: 'GET',
      path: '/v1/models',
      status: 200,
      user_id: 'alice',
    });
    expect((await linesOf(logFile)).filter((line) => line['request_id'] === 'probe')).toEqual([]);
  });

  it('tells of a refused completion too', async () => {
    await (
      await gateway.fetch('/v1/chat/completions', { method: 'POST', headers: { 'x-request-id': 'refused' } })
    ).text();
    expect(await lineWith(logFile, { request_id: 'refused' })).toMatchObject({
      status: 401,
      error_code: 'missing_token',
      path: '/v1/chat/completions',
    });
    await (
      await gateway.complete({ ...hello, messages: 'none' }, 'alice', { 'x-request-id': 'invalid' })
    ).text();
    expect(await lineWith(logFile, { request_id: 'invalid' })).toMatchObject({
      status: 400,
      error_code: 'invalid_body',
      user_id: 'alice',
    });
  });

  it('keeps who was refused and who changed what apart', async () => {
    await (
      await gateway.fetch('/billing/balance', {
        headers: { authorization: 'Bearer nonsense', 'x-request-id': 'bad' },
      })
    ).text();
    expect(await lineWith(auditFile, { request_id: 'bad' })).toMatchObject({
      stream: 'audit',
      code: 'invalid_token',
      method: 'GET',
      path: '/billing/balance',
      client_address: expect.stringContaining('127.0.0.1'),
    });
    await gateway.fetch('/admin/users', { as: 'alice', headers: { 'x-request-id': 'curious' } });
    expect(await lineWith(auditFile, { request_id: 'curious' })).toMatchObject({
      code: 'admin_only',
      path: '/admin/users',
      user_id: 'alice',
    });
    await gateway.fetch('/billing/balance', { as: 'alice' });
    const topUp = await gateway.fetch('/admin/users/alice/topups', {
      method: 'POST',
      as: { sub: 'root', role: 'admin' },
      headers: { 'content-type': 'application/json', 'x-request-id': 'topup' },
      body: JSON.stringify({ amount: '5', description: 'thanks', idempotency_key: 'topup-1' }),
    });
    expect(topUp.ok).toBe(true);
    expect(await lineWith(auditFile, { request_id: 'topup' })).toMatchObject({
      action: 'topup',
      actor: 'root',
      subject: 'alice',
      client_address: expect.stringContaining('127.0.0.1'),
      details: { amount_nano: '5000000000', description: 'thanks' },
      message: 'admin action',
    });
    expect((await linesOf(logFile)).filter((line) => line['stream'] === 'audit')).toEqual([]);
  });

  it('goes on in a new file after a rotation, and loses nothing', async () => {
    await lineWith(logFile, { request_id: 'first' });
    await rename(logFile, `${logFile}.1`);
    await gateway.kill('SIGUSR2');
    await eventually('the new file', async () => {
      await (await gateway.complete(hello, 'alice', { 'x-request-id': 'after' })).text();
      return (await linesOf(logFile)).length > 0;
    });
    await lineWith(logFile, { request_id: 'after' });
    expect((await linesOf(`${logFile}.1`)).some((line) => line['request_id'] === 'first')).toBe(true);
  });

  it('has every line of what was answered before the end', async () => {
    for (let i = 0; i < 25; i++)
      await (await gateway.complete(hello, `user-${i}`, { 'x-request-id': `last-${i}` })).text();
    expect(await gateway.stop()).toBe(0);
    const ids = new Set((await linesOf(logFile)).map((line) => line['request_id']));
    for (let i = 0; i < 25; i++) expect(ids).toContain(`last-${i}`);
  });
});
