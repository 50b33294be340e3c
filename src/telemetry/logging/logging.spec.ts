import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canariesIn, CANARIES, leakyError, requestRecord } from '../../../test/support/request-record.js';
import { GatewayLogger } from './gateway-logger.js';
import { LogSink } from './log.sink.js';
import { Logs } from './logs.js';

let folder: string;
let file: string;
let auditFile: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gateway-log-'));
  file = join(folder, 'gateway.log');
  auditFile = join(folder, 'audit.log');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function open(level: 'debug' | 'info' = 'info', audit: string | undefined = auditFile): Logs {
  return new Logs({ level, file, auditFile: audit, pretty: false });
}

async function linesOf(logs: Logs, path: string = file): Promise<Record<string, unknown>[]> {
  await logs.flush();
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

describe('the log line of a completion', () => {
  it('is one JSON object with the promised keys', async () => {
    const logs = open();
    new LogSink(logs).request(requestRecord());
    const [line, ...more] = await linesOf(logs);
    expect(more).toEqual([]);
    expect(line).toMatchObject({
      level: 'info',
      message: 'completion',
      model: 'gpt-4',
      user_id: 'user-1',
      duration_ms: 1250.25,
      request_id: 'req-1',
      provider: 'openai',
      status: 200,
      input_tokens: 100,
      output_tokens: 50,
      cost: '0.000123456',
      attempts: 2,
      failed_calls: [{ provider: 'azure', model: 'gpt-4-0613', outcome: 'provider_overloaded' }],
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    });
    expect(Date.now() - Date.parse(String(line?.timestamp))).toBeLessThan(5_000);
  });

  it('says nothing of failed calls where none failed', async () => {
    const logs = open();
    const { attempts } = requestRecord();
    new LogSink(logs).request(
      requestRecord({ attempts: attempts.filter(({ outcome }) => outcome === 'ok') }),
    );
    new LogSink(logs).request(
      requestRecord({ attempts: [{ ...attempts[0]!, upstreamStatus: undefined, connectionFailure: 'dns' }] }),
    );
    const [without, refused] = await linesOf(logs);
    expect(without).not.toHaveProperty('failed_calls');
    expect(refused).toMatchObject({ failed_calls: [{ connection: 'dns' }] });
  });

  it('holds neither prompt nor answer, with DEBUG either', async () => {
    const logs = open('debug');
    new LogSink(logs).request(requestRecord());
    const [line] = await linesOf(logs);
    expect(canariesIn(JSON.stringify(line))).toEqual([]);
    expect(line).toMatchObject({
      stages_ms: { hold: 0.6 },
      calls: [{ outcome: 'provider_overloaded' }, { outcome: 'ok' }],
    });
  });

  it('cannot be broken in two by a user id', async () => {
    const logs = open();
    new LogSink(logs).request(
      requestRecord({ userId: 'eve\n{"level":"info","message":"forged"}\u2028\u001b[31m' }),
    );
    expect(await linesOf(logs)).toHaveLength(1);
    expect(readFileSync(file, 'utf8')).not.toContain('\u001b');
  });
});

describe('errors in the log', () => {
  it('keep type, code, frames and cause, and lose keys, headers, bodies and configuration', async () => {
    const logs = open();
    new LogSink(logs).event({
      kind: 'unexpected-error',
      where: 'GET /x',
      requestId: 'req-2',
      error: leakyError(),
    });
    const [line] = await linesOf(logs);
    expect(line).toMatchObject({
      level: 'error',
      request_id: 'req-2',
      error: { type: 'Error', code: 'ECONNREFUSED', cause: { type: 'Error' } },
    });
    expect(JSON.stringify(line)).toContain('logging.spec');
    expect(canariesIn(JSON.stringify(line))).toEqual([]);
  });

  it('do not quote what a JSON parser choked on', async () => {
    const logs = open();
    let thrown: unknown;
    try {
      JSON.parse(`${CANARIES.prompt} and more`);
    } catch (error) {
      thrown = error;
    }
    expect(String(thrown)).toContain(CANARIES.prompt.slice(0, 9));
    new LogSink(logs).event({ kind: 'unexpected-error', where: 'x', requestId: undefined, error: thrown });
    expect(JSON.stringify(await linesOf(logs))).not.toContain(CANARIES.prompt.slice(0, 9));
  });

  it('are masked in Nest lines too', async () => {
    const logs = open();
    const logger = new GatewayLogger(logs);
    const error = leakyError();
    logger.error(error.message, error.stack, 'SomeService');
    logger.warn(`key ${CANARIES.googleKey}`, 'SomeService');
    logger.log({ url: `https://x?key=${CANARIES.googleKey}` });
    logger.error(error);
    const lines = await linesOf(logs);
    expect(lines.map((line) => line.level)).toEqual(['error', 'warn', 'info', 'error']);
    expect(lines[0]).toMatchObject({ context: 'SomeService' });
    expect(canariesIn(JSON.stringify(lines))).toEqual([]);
  });
});

describe('access and audit lines', () => {
  const access = {
    kind: 'access',
    method: 'GET',
    status: 200,
    errorCode: undefined,
    durationMs: 1,
    requestId: 'r',
    userId: 'u',
  } as const;

  it('keep probes out of the log at INFO, unless they fail', async () => {
    const logs = open();
    const sink = new LogSink(logs);
    sink.event({ ...access, route: '/health', path: '/health' });
    sink.event({ ...access, route: '/metrics', path: '/metrics' });
    sink.event({ ...access, route: '/v1/models', path: '/v1/models' });
    sink.event({ ...access, route: '/ready', path: '/ready', status: 503 });
    expect((await linesOf(logs)).map((line) => line.path)).toEqual(['/v1/models', '/ready']);
  });

  it('go to a file of their own when there is one, else are marked', async () => {
    const admin = {
      kind: 'admin-action',
      action: 'topup',
      actor: 'root',
      subject: 'user-1',
      requestId: 'r',
      clientAddress: '127.0.0.1',
      details: { amount: '5' },
    } as const;
    const apart = open();
    new LogSink(apart).event(admin);
    expect(await linesOf(apart, auditFile)).toMatchObject([
      { stream: 'audit', action: 'topup', actor: 'root' },
    ]);
    expect(await linesOf(apart)).toEqual([]);

    const together = new Logs({ level: 'error' as const, file, auditFile: undefined, pretty: false });
    new LogSink(together).event(admin);
    expect(await linesOf(together)).toMatchObject([{ stream: 'audit', subject: 'user-1' }]);
  });
});

describe('the log file', () => {
  it('is opened anew after a rotation and loses no line', async () => {
    const logs = open();
    logs.lines.info('before');
    await logs.flush();
    renameSync(file, `${file}.1`);
    logs.lines.info('still in the old file');
    await logs.flush();
    logs.reopen();
    await new Promise((resolve) => setTimeout(resolve, 50));
    logs.lines.info('after');
    expect((await linesOf(logs)).map((line) => line.message)).toEqual(['after']);
    expect(readFileSync(`${file}.1`, 'utf8')).toContain('still in the old file');
  });

  it('counts what a full disk swallows and does not throw', async () => {
    const logs = new Logs({ level: 'info', file: '/dev/full', auditFile: undefined, pretty: false });
    for (let i = 0; i < 200; i++) logs.lines.info({ filler: 'x'.repeat(200) }, 'line');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(logs.lost).toBeGreaterThan(0);
    expect(() => logs.lines.info('still here')).not.toThrow();
  });
});
