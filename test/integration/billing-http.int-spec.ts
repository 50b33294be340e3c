import 'reflect-metadata';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Get, Global, Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_PIPE, NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { GatewayError } from '@app/contracts';
import type { NextFunction, Request, Response } from 'express';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { IS_ADMIN_ONLY } from '../../src/auth/admin-only.decorator.js';
import { Billed } from '../../src/billing/billed.decorator.js';
import { BillingModule } from '../../src/billing/billing.module.js';
import { AdminBillingController } from '../../src/billing/http/admin-billing.controller.js';
import { AdminReportsController } from '../../src/billing/http/admin-reports.controller.js';
import { LedgerAuditController } from '../../src/billing/http/ledger-audit.controller.js';
import { UnknownCostsController } from '../../src/billing/http/unknown-costs.controller.js';
import { ESTIMATE_PLANNER } from '../../src/billing/quote/estimate-planner.js';
import { QuoterService } from '../../src/billing/quote/quoter.service.js';
import { Leases } from '../../src/billing/leases/leases.service.js';
import { FIND_ENTRIES_OF_HOLD } from '../../src/billing/reports/report-statements.js';
import { BillingSessions } from '../../src/billing/session/billing-sessions.service.js';
import { Settler } from '../../src/billing/settle/settler.service.js';
import { APP_CONFIG } from '../../src/config/app-config.js';
import { DatabaseService } from '../../src/database/database.service.js';
import { readPatiently } from '../../src/database/read-patiently.js';
import { GatewayErrorFilter } from '../../src/edge/gateway-error.filter.js';
import { GatewayValidationPipe } from '../../src/edge/gateway-validation.pipe.js';
import { JsonBodyGuard } from '../../src/edge/json-body.guard.js';
import { requestContext } from '../../src/edge/request-context.middleware.js';
import { Context, type RequestContext } from '../../src/edge/request-context.js';
import { type GatewayEvent, Telemetry } from '../../src/telemetry/telemetry.js';
import {
  type BillingDatabase,
  billingConfig,
  booksOf,
  chat,
  fund,
  identityOf,
  openBillingDatabase,
  plannedTarget,
  planOf,
  statementsOf,
  targetOf,
  unansweredAttempt,
  userId,
} from './billing-support.js';

let db: BillingDatabase;
let dataDir: string;
let app: NestExpressApplication;
let url: string;
/** How long a report may take. */
let patienceMs = 60_000;
const events: GatewayEvent[] = [];

/** Stands in for the completions: holds, and then does as it is told. */
@Billed()
@Controller('spend')
class SpendController {
  @Get('ok')
  async ok(@Context() { billing }: RequestContext): Promise<object> {
    await billing?.hold(
      app.get(QuoterService).quote(planOf(plannedTarget()), chat('hi', { max_tokens: 10 }), false),
    );
    billing?.attempt({
      provider: 'echo',
      upstreamModel: 'echo',
      outcome: 'ok',
      upstreamStatus: 200,
      providerRequestId: undefined,
      durationMs: 3,
    });
    await billing?.settle({
      kind: 'usage',
      target: targetOf(plannedTarget()),
      usage: { inputTokens: 11, outputTokens: 7 },
      source: 'provider',
    });
    return {};
  }

  @Get('failing')
  async failing(@Context() { billing }: RequestContext): Promise<void> {
    await billing?.hold(
      app.get(QuoterService).quote(planOf(plannedTarget()), chat('hi', { max_tokens: 10 }), false),
    );
    throw new GatewayError('provider_overloaded', 'no');
  }

  @Get('unanswered')
  async unanswered(@Context() { billing }: RequestContext): Promise<void> {
    await billing?.hold(
      app.get(QuoterService).quote(planOf(plannedTarget()), chat('hi', { max_tokens: 10 }), false),
    );
    billing?.attempt(unansweredAttempt('first_chunk_timeout'));
    billing?.attempt(unansweredAttempt('request_timeout'));
    throw new GatewayError('request_timeout', 'no');
  }
}

beforeAll(async () => {
  db = await openBillingDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'billing-http-'));
  const telemetry = new Telemetry();
  telemetry.addSink({ event: (event) => void events.push(event) });
  const config = {
    ...billingConfig({ defaultBalanceNanoUsd: 100_000_000_000n, leases: true }, dataDir),
    http: { bodyLimitBytes: 100_000 },
  };

  @Global()
  @Module({
    providers: [
      { provide: APP_CONFIG, useValue: config },
      { provide: Telemetry, useValue: telemetry },
      { provide: DataSource, useValue: db.dataSource },
      {
        provide: DatabaseService,
        useValue: {
          ...statementsOf(db.dataSource),
          prepared: statementsOf(db.dataSource),
          patient: {
            query: (sql: string, parameters: readonly unknown[]) =>
              readPatiently(db.dataSource, 'report', patienceMs, (read) => read(sql, parameters)),
          },
        },
      },
      {
        provide: ESTIMATE_PLANNER,
        useValue: {
          plan: (body: { max_tokens?: number }) => ({
            request: chat('Say hello.', body),
            plan: planOf(plannedTarget()),
          }),
        },
      },
    ],
    exports: [APP_CONFIG, Telemetry, DataSource, DatabaseService, ESTIMATE_PLANNER],
  })
  class Surroundings {}

  @Module({
    imports: [Surroundings, BillingModule],
    controllers: [SpendController],
    providers: [
      { provide: APP_GUARD, useClass: JsonBodyGuard },
      { provide: APP_PIPE, useClass: GatewayValidationPipe },
      { provide: APP_FILTER, useClass: GatewayErrorFilter },
    ],
  })
  class App {}

  app = await NestFactory.create<NestExpressApplication>(App, { bodyParser: false, logger: false });
  app.set('query parser', 'simple');
  app.use(requestContext);
  app.use((request: Request, _response: Response, next: NextFunction) => {
    request.gateway.principal = {
      userId: String(request.headers['x-user']),
      role: request.headers['x-role'] === 'admin' ? 'admin' : 'user',
      models: undefined,
      tokenId: undefined,
      issuedAt: undefined,
      expiresAt: 0,
    };
    next();
  });
  await app.listen(0, '127.0.0.1');
  url = `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
});
afterAll(async () => {
  const closed = once(app.getHttpServer(), 'close');
  await app.close();
  await closed;
  await db.close();
  await rm(dataDir, { recursive: true, force: true });
});

interface Answer {
  status: number;
  headers: Headers;
  text: string;
  /** Checked field by field. */
  json: ReturnType<typeof JSON.parse>;
}

async function call(
  method: string,
  path: string,
  user: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: { 'x-user': user, 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: text.startsWith('{') ? JSON.parse(text) : undefined,
  };
}
const get = (path: string, user: string, headers?: Record<string, string>) =>
  call('GET', path, user, undefined, headers);
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  call('POST', path, 'root', body, { 'x-role': 'admin', ...headers });

describe('GET /billing/balance', () => {
  it('opens the account at first sight, with the default balance, once', async () => {
    const user = userId();
    const answers = await Promise.all(Array.from({ length: 10 }, () => get('/billing/balance', user)));
    expect(new Set(answers.map(({ text }) => text))).toEqual(
      new Set([`{"user_id":"${user}","balance":100,"currency":"USD","held":0,"available":100}`]),
    );
  });

  it('writes every digit of the stored value', async () => {
    const user = userId();
    await fund(db.dataSource, user, 9_007_199_254_740_993_001n);
    expect((await get('/billing/balance', user)).text).toContain('"balance":9007199254.740993001,');
  });

  it('shows a charge as soon as its answer was given', async () => {
    const user = userId();
    for (let turn = 1; turn <= 5; turn += 1) {
      await get('/spend/ok', user);
      expect((await get('/billing/balance', user)).text).toContain(`"balance":${100 - turn * 0.000025},`);
    }
  });
});

describe('the billing interceptor', () => {
  it('gives the hold back when the handler failed, whatever became of it', async () => {
    const user = userId();
    expect((await get('/spend/failing', user)).status).toBe(503);
    await app.get(Settler).drain({ timeoutMs: 1000 });
    expect(await booksOf(db.dataSource, user)).toMatchObject({ held: 0n, openHolds: 0n, charges: 0 });
  });
});

describe('GET /billing/transactions', () => {
  it('lists newest first, in pages, with what belongs to each', async () => {
    const user = userId();
    await get('/spend/ok', user);
    await get('/spend/ok', user);
    const { json } = await get('/billing/transactions', user);
    expect(json).toMatchObject({ user_id: user, limit: 10, offset: 0 });
    expect(json.transactions).toHaveLength(3);
    expect(json.transactions[0]).toMatchObject({
      amount: -0.000025,
      description: 'Chat completion with echo',
      type: 'charge',
      balance_after: 99.99995,
      model: 'echo',
      provider: 'echo',
      prompt_tokens: 11,
      completion_tokens: 7,
    });
    expect(json.transactions[0].id).toMatch(/^txn_[0-9a-f]{32}$/);
    expect(json.transactions[0].timestamp).toMatch(/^\d{4}-.*Z$/);
    expect(json.transactions[2]).toMatchObject({ amount: 100, type: 'grant' });
    const page = await get('/billing/transactions?limit=1&offset=2', user);
    expect(page.json.transactions).toEqual([json.transactions[2]]);
  });

  it.each([
    'limit=0',
    'limit=101',
    'limit=ten',
    'limit=1e1',
    'limit=',
    'limit=1&limit=2',
    'offset=-1',
    'offset=1.5',
    'page=2',
  ])('refuses ?%s with the name of the parameter', async (query) => {
    const { status, json } = await get(`/billing/transactions?${query}`, userId());
    expect([status, json.error.code, json.error.param]).toEqual([400, 'invalid_query', query.split('=')[0]]);
  });
});

describe('GET /billing/usage', () => {
  it('sums up by day and by model', async () => {
    const user = userId();
    await get('/spend/ok', user);
    await get('/spend/ok', user);
    const byModel = await get('/billing/usage?group_by=model', user);
    expect(byModel.json.usage).toEqual([
      expect.objectContaining({
        key: 'echo',
        requests: 2,
        prompt_tokens: 22,
        completion_tokens: 14,
        charged: 0.00005,
        net: 0.00005,
      }),
    ]);
    const byDay = await get('/billing/usage', user);
    expect(byDay.json.usage).toEqual([
      expect.objectContaining({ key: new Date().toISOString().slice(0, 10), requests: 2 }),
    ]);
    const before = await get('/billing/usage?from=2020-01-01&to=2020-02-01', user);
    expect(before.json.usage).toEqual([]);
  });

  it.each(['group_by=user', 'from=yesterday', 'from=2026-02-01&to=2026-01-01', 'from=2026-13-01'])(
    'refuses ?%s',
    async (query) => {
      expect((await get(`/billing/usage?${query}`, userId())).json.error.code).toBe('invalid_query');
    },
  );
});

describe('GET /billing/requests/:request_id', () => {
  it('is a receipt whose lines come to the charge, exactly', async () => {
    const user = userId();
    await get('/spend/ok', user, { 'x-request-id': 'my-request' });
    const { status, json, text } = await get('/billing/requests/my-request', user);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      request_id: 'my-request',
      user_id: user,
      model: 'echo',
      stream: false,
      state: 'captured',
      attempts: [expect.objectContaining({ provider: 'echo', outcome: 'ok', status: 200 })],
      settlement: {
        charged: 0.000025,
        shortfall: 0,
        refunded: 0,
        usage: { inputTokens: 11, outputTokens: 7 },
      },
    });
    expect(json.settlement.lines).toEqual([
      { category: 'input', quantity: 11, unit_price_per_million: '1', amount: 0.000011 },
      { category: 'output', quantity: 7, unit_price_per_million: '2', amount: 0.000014 },
    ]);
    expect(text).not.toMatch(/:-?[\d.]+e[+-]/);
  });

  it('of somebody else is not there, except for an administrator', async () => {
    const owner = userId();
    const id = `r-${owner}`;
    await get('/spend/ok', owner, { 'x-request-id': id });
    const foreign = await get(`/billing/requests/${id}`, userId());
    expect([foreign.status, foreign.json.error.code]).toEqual([404, 'not_found']);
    expect((await get(`/billing/requests/${id}`, userId(), { 'x-role': 'admin' })).json.user_id).toBe(owner);
    expect((await get('/billing/requests/none', owner)).status).toBe(404);
  });
});

describe('POST /billing/estimate', () => {
  it('tells worst case and expectation, and what the balance covers', async () => {
    const user = userId();
    const { status, json } = await call('POST', '/billing/estimate', user, { max_tokens: 100 });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      currency: 'USD',
      max_output_tokens: 100,
      available: 100,
      covered: true,
      affordable_output_tokens: 1000,
    });
    expect(json.worst_case).toBeGreaterThanOrEqual(json.expected);
    expect(json.targets).toHaveLength(1);
    expect((await get('/billing/balance', user)).json).toMatchObject({ balance: 100, held: 0 });
  });
});

describe('administrators', () => {
  it('are the only ones: every one of these routes says so to the guard', () => {
    for (const controller of [
      AdminBillingController,
      AdminReportsController,
      LedgerAuditController,
      UnknownCostsController,
    ]) {
      expect(Reflect.getMetadata(IS_ADMIN_ONLY, controller)).toBe(true);
    }
  });

  it('top up once per key, however often and how concurrently it is sent', async () => {
    const user = userId();
    const body = { amount: '12.5', description: 'Invoice 7', idempotency_key: 'invoice-7' };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post(`/admin/users/${user}/topups`, body)),
    );
    expect(answers.filter(({ json }) => json.replayed === false)).toHaveLength(1);
    expect(new Set(answers.map(({ json }) => json.id)).size).toBe(1);
    expect((await get('/billing/balance', user)).json.balance).toBe(112.5);
    const other = await post(`/admin/users/${user}/topups`, { ...body, amount: 13 });
    expect([other.status, other.json.error.code]).toEqual([422, 'idempotency_mismatch']);
    expect(events).toContainEqual(
      expect.objectContaining({ kind: 'admin-action', action: 'topup', actor: 'root', subject: user }),
    );
    // Whoever adds up the audit stream adds up what was moved.
    const told = events.filter((event) => event.kind === 'admin-action' && event.subject === user);
    const moved = told.filter((event) => 'details' in event && event.details['replayed'] === undefined);
    expect([told.length, moved.length]).toEqual([20, 1]);
  });

  it('top up once per Idempotency-Key too, where a client sends the key as it does elsewhere', async () => {
    const user = userId();
    const key = { 'idempotency-key': 'invoice-8' };
    for (const replayed of [false, true]) {
      expect((await post(`/admin/users/${user}/topups`, { amount: 5 }, key)).json.replayed).toBe(replayed);
    }
    const inBody = { amount: 5, idempotency_key: 'invoice-8' };
    expect((await post(`/admin/users/${user}/topups`, inBody)).json.replayed).toBe(true);
    expect((await post(`/admin/users/${user}/topups`, inBody, key)).json.replayed).toBe(true);
    expect((await get('/billing/balance', user)).json.balance).toBe(105);
    for (const other of ['invoice-9', 'x'.repeat(256), 'a b']) {
      const { status, json } = await post(`/admin/users/${user}/topups`, inBody, {
        'idempotency-key': other,
      });
      expect([status, json.error.param]).toEqual([400, 'Idempotency-Key']);
    }
    for (const replayed of [false, true]) {
      const headers = { 'idempotency-key': 'mend-1' };
      const body = { amount: -5, description: 'x' };
      expect((await post(`/admin/users/${user}/adjustments`, body, headers)).json.replayed).toBe(replayed);
    }
    expect((await get('/billing/balance', user)).json.balance).toBe(100);
  });

  it('top up without a key as often as they send it', async () => {
    const user = userId();
    for (const amount of [1, '1', 0.5]) await post(`/admin/users/${user}/topups`, { amount });
    expect((await get('/billing/balance', user)).json.balance).toBe(102.5);
  });

  it.each([0, -5, '1e3', '0.0000000001', 'ten', null, 9007199254.740993, {}, true])(
    'do not top up by %j',
    async (amount) => {
      const { status, json } = await post(`/admin/users/${userId()}/topups`, { amount });
      expect([status, json.error.param]).toEqual([400, 'amount']);
    },
  );

  it('cannot set what the body does not name, nor move more than an account holds', async () => {
    const user = userId();
    const extra = await post(`/admin/users/${user}/topups`, { amount: 1, balance_nano: 1 });
    expect([extra.status, extra.json.error.param]).toEqual([400, 'balance_nano']);
    const huge = await post(`/admin/users/${user}/topups`, { amount: '9223372036' });
    expect([huge.status, huge.json.error.param]).toEqual([400, 'amount']);
    expect((await post('/admin/users/a%20b/topups', { amount: 1 })).status).toBe(400);
    await get('/spend/ok', user, { 'x-request-id': `m-${user}` });
    await get('/billing/balance', user); // the charge is booked
    expect((await post(`/admin/users/${user}/topups`, { amount: '9223371936.854800807' })).status).toBe(200);
    const refund = await post(`/admin/requests/m-${user}/refund`, {});
    expect([refund.status, refund.json.error.param]).toEqual([400, 'amount']);
  });

  it('adjust down to what is held, and no further', async () => {
    const user = userId();
    expect(
      (await post(`/admin/users/${user}/adjustments`, { amount: '-99.5', description: 'x' })).json.amount,
    ).toBe(-99.5);
    const refused = await post(`/admin/users/${user}/adjustments`, { amount: -1, description: 'x' });
    expect([refused.status, refused.json.error.param]).toEqual([400, 'amount']);
    expect((await get('/billing/balance', user)).json.balance).toBe(0.5);
  });

  it('tell a fault of the address as one: what stands in the path, first the kind of a number, then its range', async () => {
    const path = await post('/admin/users/a%20b/topups', {
      amount: 1,
      description: 'x',
      idempotency_key: 'x',
    });
    expect(path.json.error).toMatchObject({ code: 'invalid_query', param: 'id' });
    for (const [query, fault] of [
      ['limit=abc', 'limit must be an integer number.'],
      ['limit=0', 'limit must not be less than 1.'],
      ['limit=101', 'limit must not be greater than 100.'],
      ['offset=x', 'offset must be an integer number.'],
    ])
      expect((await get(`/billing/transactions?${query}`, 'root')).json.error.message).toBe(fault);
  });

  it('refund once: all of it, a part, never more', async () => {
    const user = userId();
    await get('/spend/ok', user, { 'x-request-id': `a-${user}` });
    await get('/spend/ok', user, { 'x-request-id': `b-${user}` });
    const tooMuch = await post(`/admin/requests/a-${user}/refund`, { amount: 1 });
    expect([tooMuch.status, tooMuch.json.error.code]).toEqual([400, 'invalid_body']);
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => post(`/admin/requests/a-${user}/refund`, {})),
    );
    expect(answers.filter(({ json }) => json.replayed === false)).toHaveLength(1);
    expect((await post(`/admin/requests/b-${user}/refund`, { amount: '0.000005' })).json.amount).toBe(
      0.000005,
    );
    const again = await post(`/admin/requests/b-${user}/refund`, { amount: '0.000006' });
    expect([again.status, again.json.error.code]).toEqual([409, 'idempotency_conflict']);
    expect((await post('/admin/requests/none/refund', {})).status).toBe(404);
    expect((await get('/billing/balance', user)).json.balance).toBe(99.99998);
    const usage = await get('/billing/usage?group_by=model', user);
    expect(usage.json.usage[0]).toMatchObject({ charged: 0.00005, refunded: 0.00003, net: 0.00002 });
  });

  it('do not refund what was not charged', async () => {
    const user = userId();
    await get('/spend/failing', user, { 'x-request-id': `f-${user}` });
    expect((await post(`/admin/requests/f-${user}/refund`, {})).json.error.code).toBe('not_found');
  });

  it('must name one of several requests with the same id', async () => {
    const user = userId();
    await get('/spend/ok', user, { 'x-request-id': `same-${user}` });
    await get('/spend/ok', user, { 'x-request-id': `same-${user}` });
    const { status, json } = await post(`/admin/requests/same-${user}/refund`, {});
    expect([status, json.error.param]).toEqual([400, 'request_id']);
    const receipt = await get(`/billing/requests/same-${user}`, user);
    expect((await post(`/admin/requests/${receipt.json.billing_id}/refund`, {})).status).toBe(200);
  });

  it('shows the same of one account and of all: what requests hold, also of what is reserved ahead', async () => {
    const user = userId();
    for (const _ of [1, 2]) await get('/spend/ok', user);
    const session = app.get(BillingSessions).open(identityOf(user));
    await session.hold(
      app.get(QuoterService).quote(planOf(plannedTarget()), chat('hi', { max_tokens: 10 }), false),
    );
    expect(app.get(Leases).heldNano(user)).toBeGreaterThan(0n);
    await app.get(Settler).drain({ timeoutMs: 1000 });
    const { balance, held, available } = (await get(`/admin/users/${user}/balance`, 'root')).json;
    const [one] = (await get(`/admin/users?search=${user}`, 'root')).json.users;
    expect(held).toBeGreaterThan(0);
    expect(one).toMatchObject({ balance, held, available });
    await session.settle({ kind: 'release', reason: 'x' });
  });

  it('see balances of those who were seen, and search without wildcards', async () => {
    const user = `find_me-${userId()}`;
    await get('/billing/balance', user);
    expect((await get(`/admin/users/${user}/balance`, 'root')).json.balance).toBe(100);
    expect((await get(`/admin/users/${userId()}/balance`, 'root')).status).toBe(404);
    const found = await get('/admin/users?search=find_me-', 'root');
    expect([found.json.total, found.json.users[0].user_id]).toEqual([1, user]);
    const beyond = await get('/admin/users?search=find_me-&offset=5', 'root');
    expect([beyond.json.total, beyond.json.users]).toEqual([1, []]);
    for (const search of ['%25', 'find%5C', 'findxme', '_ind']) {
      expect((await get(`/admin/users?search=${search}`, 'root')).json.users).toEqual([]);
    }
    expect((await get('/admin/users?limit=1000', 'root')).status).toBe(400);
  });

  it('get reports by anything, as JSON and as CSV that no spreadsheet runs', async () => {
    const user = `=HYPERLINK@${userId()}`.replace('=', '@');
    await fund(db.dataSource, user, 1_000_000_000n);
    await get('/spend/ok', user);
    for (const grouping of ['user', 'model', 'provider', 'day']) {
      const { json } = await get(`/admin/reports?group_by=${grouping}`, 'root');
      expect(json.rows.length).toBeGreaterThan(0);
    }
    const csv = await get('/admin/reports?group_by=user&format=csv', 'root');
    expect(csv.headers.get('content-type')).toContain('text/csv');
    expect(csv.text).toMatch(
      /^key,requests,prompt_tokens,completion_tokens,charged,refunded,net,currency\r\n/,
    );
    expect(csv.text).toContain(',USD\r\n');
    expect(csv.text).toContain(`\r\n'@`);
    expect(csv.text).not.toContain(`\r\n@`);
    expect((await get('/admin/reports?group_by=password', 'root')).status).toBe(400);
  });

  it('get a report in pages, and never a cut one without being told', async () => {
    const users = Array.from({ length: 3 }, userId);
    for (const user of users) await get('/spend/ok', user);
    const whole = (await get('/admin/reports?group_by=user', 'root')).json;
    expect(whole.total).toBe(whole.rows.length);
    const paged: unknown[] = [];
    for (let offset = 0; offset < whole.total; offset += 2) {
      const page = await get(`/admin/reports?group_by=user&limit=2&offset=${offset}`, 'root');
      expect(page.json).toMatchObject({ total: whole.total, limit: 2, offset });
      paged.push(...page.json.rows);
    }
    expect(paged).toEqual(whole.rows);
    expect((await get(`/admin/reports?group_by=user&offset=${whole.total}`, 'root')).json).toMatchObject({
      total: whole.total,
      rows: [],
    });
    expect((await get('/admin/reports?limit=10001', 'root')).status).toBe(400);
  });

  it('are asked for a shorter period when the books of one take too long', async () => {
    patienceMs = 50;
    const blocker = db.dataSource.createQueryRunner();
    try {
      await blocker.startTransaction();
      await blocker.query('LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE');
      for (const path of ['/admin/reports?group_by=day', '/admin/transactions']) {
        const { status, json } = await get(path, 'root');
        expect([status, json.error.code, json.error.param]).toEqual([400, 'invalid_query', 'from']);
        expect(json.error.message).toContain('shorter');
      }
    } finally {
      patienceMs = 60_000;
      await blocker.rollbackTransaction();
      await blocker.release();
    }
    expect((await get('/admin/reports?group_by=day', 'root')).status).toBe(200);
  });

  it('keep no user waiting while audits and reports take all the turns there are', async () => {
    const user = userId();
    await get('/spend/ok', user);
    const end = Promise.withResolvers<void>();
    // As many of each as there are connections, and there are fewer turns than that.
    const audits = Array.from({ length: 32 }, (_, index) =>
      readPatiently(db.dataSource, index % 2 ? 'audit' : 'report', patienceMs, () => end.promise),
    );
    try {
      const usage = await Promise.race([get('/billing/usage', user), sleep(5_000, undefined)]);
      expect(usage?.json.usage).toMatchObject([{ requests: 1 }]);
    } finally {
      end.resolve();
      await Promise.all(audits);
    }
  });

  it('are told that a period ends before its last day begins', async () => {
    const { status, json } = await get('/admin/reports?from=2026-11-29&to=2026-11-29', 'root');
    expect([status, json.error.message]).toEqual([
      400,
      'from must be before to. to is exclusive: for a single day, give the next day.',
    ]);
  });

  it('see the ledger of one and of all, by kind and period, as JSON and as CSV', async () => {
    const user = userId();
    await get('/spend/ok', user, { 'x-request-id': `l-${user}` });
    await get('/billing/balance', user); // the charge is booked
    await post(`/admin/users/${user}/topups`, {
      amount: '2.5',
      description: '=1+1',
      idempotency_key: `k-${user}`,
    });
    const ledger = (await get(`/admin/transactions?user_id=${user}`, 'root')).json;
    expect(ledger).toMatchObject({ currency: 'USD', limit: 100, offset: 0 });
    const own = (await get('/billing/transactions', user)).json;
    expect(ledger.transactions).toEqual(
      own.transactions.map((entry: object) => ({
        user_id: user,
        ...entry,
        ...('type' in entry && entry.type === 'topup'
          ? { actor: 'root', idempotency_key: `k-${user}` }
          : { actor: null, idempotency_key: null }),
      })),
    );
    expect(ledger.transactions.map(({ type }: { type: string }) => type)).toEqual([
      'topup',
      'charge',
      'grant',
    ]);
    const types = async (query: string): Promise<string[]> =>
      (await get(`/admin/transactions?user_id=${user}&${query}`, 'root')).json.transactions.map(
        ({ type }: { type: string }) => type,
      );
    expect(await types('type=charge')).toEqual(['charge']);
    expect(await types('limit=1&offset=2')).toEqual(['grant']);
    expect(await types('from=2020-01-01&to=2020-02-01')).toEqual([]);
    const csv = await get(`/admin/transactions?user_id=${user}&type=topup&format=csv`, 'root');
    expect(csv.headers.get('content-type')).toContain('text/csv');
    const [head, row] = csv.text.split('\r\n');
    expect(head).toBe(
      'timestamp,id,user_id,type,amount,balance_after,currency,description,request_id,model,provider,prompt_tokens,completion_tokens,actor,idempotency_key',
    );
    expect(row).toMatch(new RegExp(`,${user},topup,2.5,102.499975,USD,'=1\\+1,,,,,,root,k-${user}$`));
    const everybody = (await get('/admin/transactions?type=topup', 'root')).json.transactions;
    expect(new Set(everybody.map(({ user_id }: { user_id: string }) => user_id)).size).toBeGreaterThan(1);
    for (const wrong of ['type=gift', 'limit=10001', 'user_id=a%20b', 'from=2026-02-02&to=2026-02-01']) {
      expect((await get(`/admin/transactions?${wrong}`, 'root')).status).toBe(400);
    }
  });

  it('can have everything worked out again', async () => {
    await app.get(Settler).drain({ timeoutMs: 2000 });
    const { json } = await get('/admin/ledger/audit', 'root');
    expect(json).toMatchObject({ ok: true, mismatches: [], checks: { charge_is_usage_times_price: 0 } });
    expect(json.checked.charges).toBeGreaterThan(10);
  });

  it('are told by the audit when a balance was touched, or a charge is not what was used', async () => {
    const user = userId();
    await get('/spend/ok', user);
    await app.get(Settler).drain({ timeoutMs: 2000 });
    await db.dataSource.query('UPDATE account SET balance_nano = balance_nano + 1 WHERE user_id = $1', [
      user,
    ]);
    await db.dataSource.query('ALTER TABLE ledger DISABLE TRIGGER ledger_append_only');
    await db.dataSource.query(
      `UPDATE ledger SET usage = '{"inputTokens":12,"outputTokens":7}' WHERE user_id = $1 AND kind = 'charge'`,
      [user],
    );
    await db.dataSource.query('ALTER TABLE ledger ENABLE TRIGGER ledger_append_only');
    const { json } = await get('/admin/ledger/audit', 'root');
    expect(json.ok).toBe(false);
    expect(json.checks).toMatchObject({
      balance_is_sum_of_ledger: 1,
      charge_is_usage_times_price: 1,
      held_is_sum_of_open_holds: 0,
    });
    expect(json.mismatches).toContainEqual(
      expect.objectContaining({ check: 'balance_is_sum_of_ledger', subject: user }),
    );
    expect(events).toContainEqual({ kind: 'audit-mismatch', check: 'balance_is_sum_of_ledger', count: 1 });
    const few = await get('/admin/ledger/audit?examples=1', 'root');
    const checks = few.json.mismatches.map((mismatch: { check: string }) => mismatch.check);
    expect(new Set(checks).size).toBe(checks.length);
    expect(few.json.checks).toEqual(json.checks);
  });

  it('who ask for the audit while one runs share the next: it takes one connection', async () => {
    const { query } = pg.Client.prototype;
    const running = new Set<pg.Client>();
    let audits = 0;
    let most = 0;
    const spy = vi.spyOn(pg.Client.prototype, 'query').mockImplementation(async function (
      this: pg.Client,
      ...all: unknown[]
    ) {
      if (all[0] === 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY') {
        audits += 1;
        most = Math.max(most, running.add(this).size);
        await sleep(200);
      }
      if (all[0] === 'COMMIT') running.delete(this);
      return Reflect.apply(query, this, all) as unknown;
    });
    const answers = await Promise.all(Array.from({ length: 6 }, () => get('/admin/ledger/audit', 'root')));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 200));
    expect(most).toBe(1);
    expect([1, 2]).toContain(audits);
    spy.mockRestore();
    expect((await get('/admin/ledger/audit', 'root')).status).toBe(200);
  });
});

/** Of an amount as JSON has it. */
const toNano = (amount: number): bigint => BigInt(Math.round(amount * 1e9));
const sumOf = (amounts: readonly number[]): bigint => amounts.reduce((sum, each) => sum + toNano(each), 0n);

describe('calls of unknown cost', () => {
  /** Two of one request, newest first. @returns their ids */
  async function twoCallsOf(user: string): Promise<[later: string, earlier: string]> {
    await get('/spend/unanswered', user, { 'x-request-id': `u-${user}` });
    await app.get(Settler).drain({ timeoutMs: 2000 });
    const { json } = await get(`/admin/unknown-costs?user_id=${user}`, 'root');
    return json.unknown_costs.map(({ id }: { id: string }) => id);
  }
  const reconcile = (id: string, body: object) => post(`/admin/unknown-costs/${id}/reconcile`, body);
  const balanceOf = async (user: string) => (await get('/billing/balance', user)).json.balance;

  it('are listed until they are reconciled, as JSON and as CSV', async () => {
    const user = userId();
    const [later, earlier] = await twoCallsOf(user);
    const open = `/admin/unknown-costs?reconciled=false&user_id=${user}`;
    const { json, headers } = await get(open, 'root');
    expect(json).toMatchObject({ currency: 'USD', total: 2, limit: 100, offset: 0 });
    expect(headers.get('x-total-count')).toBe('2');
    const receipt = (await get(`/billing/requests/u-${user}`, user)).json;
    expect(json.unknown_costs).toEqual([
      {
        id: `${receipt.billing_id}-2`,
        billing_id: receipt.billing_id,
        attempt: 2,
        request_id: `u-${user}`,
        user_id: user,
        provider: 'echo',
        upstream_model: expect.any(String),
        provider_request_id: null,
        reason: 'request_timeout',
        timestamp: receipt.settled_at,
        reconciled_at: null,
        amount: null,
        description: null,
        actor: null,
        transaction_id: null,
      },
      expect.objectContaining({ id: earlier, attempt: 1, reason: 'first_chunk_timeout' }),
    ]);
    await reconcile(later, { amount: 0, description: '=1+1' });
    const ids = async (query: string): Promise<string[]> =>
      (await get(`/admin/unknown-costs?user_id=${user}&${query}`, 'root')).json.unknown_costs.map(
        ({ id }: { id: string }) => id,
      );
    expect(await ids('reconciled=false')).toEqual([earlier]);
    expect(await ids('reconciled=true')).toEqual([later]);
    expect(await ids('limit=1&offset=1')).toEqual([earlier]);
    expect(await ids('provider=other')).toEqual([]);
    expect(await ids('to=2020-01-01')).toEqual([]);
    await db.dataSource.query(
      `UPDATE unknown_cost SET created_at = created_at - interval '2 years' WHERE user_id = $1`,
      [user],
    );
    expect(await ids('reconciled=false')).toEqual([earlier]); // whatever their age
    expect((await get(`${open}&offset=7`, 'root')).json).toMatchObject({ unknown_costs: [], total: 1 });
    const csv = await get(`/admin/unknown-costs?user_id=${user}&reconciled=true&format=csv`, 'root');
    const [head, row] = csv.text.split('\r\n');
    expect(head).toBe(
      'timestamp,id,user_id,request_id,provider,upstream_model,provider_request_id,reason,reconciled_at,amount,currency,description,actor,transaction_id',
    );
    expect(row).toMatch(new RegExp(`Z,${later},${user},u-${user},echo,.*Z,0,USD,'=1\\+1,root,$`));
    for (const wrong of ['reconciled=yes', 'user_id=a%20b', 'limit=0', 'from=2026-02-02&to=2026-02-01']) {
      expect((await get(`/admin/unknown-costs?${wrong}`, 'root')).status).toBe(400);
    }
  });

  it('are charged once, however often and how concurrently it is said', async () => {
    const user = userId();
    const [later, earlier] = await twoCallsOf(user);
    const body = { amount: '0.0123', description: 'Invoice 9, line 4' };
    const answers = await Promise.all(Array.from({ length: 20 }, () => reconcile(later, body)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(answers.filter(({ json }) => json.replayed === false)).toHaveLength(1);
    expect(new Set(answers.map(({ json }) => JSON.stringify({ ...json, replayed: true }))).size).toBe(1);
    expect(answers[0]?.json).toMatchObject({
      id: later,
      amount: 0.0123,
      description: 'Invoice 9, line 4',
      actor: 'root',
      balance_after: 99.9877,
    });
    expect(await balanceOf(user)).toBe(99.9877);

    const other = await reconcile(later, { amount: 0 });
    expect([other.status, other.json.error.code]).toEqual([409, 'idempotency_conflict']);
    expect((await reconcile(earlier, { amount: 1 })).json.balance_after).toBe(98.9877);

    const entry = (await get(`/admin/transactions?user_id=${user}&type=adjustment`, 'root')).json
      .transactions;
    expect(entry).toMatchObject([
      { amount: -1, description: `Reconciliation of u-${user}`, actor: 'root', request_id: `u-${user}` },
      { id: answers[0]?.json.transaction_id, amount: -0.0123, provider: 'echo', model: expect.any(String) },
    ]);
    const receipt = (await get(`/billing/requests/u-${user}`, user)).json;
    expect(receipt.entries.map(({ amount }: { amount: number }) => amount)).toEqual([-0.0123, -1]);
    const told = events.filter((event) => event.kind === 'admin-action' && event.subject === user);
    const moved = told.filter((event) => 'details' in event && event.details['replayed'] === undefined);
    expect([told.length, moved.length]).toEqual([21, 2]);
    expect(moved[0]).toMatchObject({ action: 'reconcile', details: { amount_nano: '-12300000' } });
  });

  it('are not charged twice by somebody who sets their row back', async () => {
    const user = userId();
    const [later, earlier] = await twoCallsOf(user);
    await reconcile(later, { amount: 2 });
    await db.dataSource.query(
      `UPDATE unknown_cost SET reconciled_at = CASE attempt WHEN 1 THEN now() END, reconciled_nano = NULL WHERE user_id = $1`,
      [user],
    );
    expect((await reconcile(later, { amount: 2 })).json).toMatchObject({ replayed: true, balance_after: 98 });
    expect((await reconcile(later, { amount: 3 })).status).toBe(409);
    // Of what was done by hand nobody knows the amount.
    expect((await reconcile(earlier, { amount: 0 })).json.error.message).toMatch(/by hand/);
    expect(await balanceOf(user)).toBe(98);
  });

  it('are written off once, and nobody pays', async () => {
    const user = userId();
    const [id] = await twoCallsOf(user);
    const first = await reconcile(id, { amount: '0', description: null });
    expect(first.json).toMatchObject({
      amount: 0,
      balance_after: null,
      transaction_id: null,
      replayed: false,
      description: `Reconciliation of u-${user}`,
    });
    expect((await reconcile(id, { amount: 0 })).json).toEqual({ ...first.json, replayed: true });
    expect((await reconcile(id, { amount: 1 })).status).toBe(409);
    expect(await balanceOf(user)).toBe(100);
  });

  it('cost at most what is free, also of what is reserved ahead', async () => {
    const user = userId();
    const [later, earlier] = await twoCallsOf(user);
    for (const _ of [1, 2]) await get('/spend/ok', user);
    const balance = String(await balanceOf(user));
    const [lease] = await db.dataSource.query('SELECT amount_nano FROM lease WHERE user_id = $1', [user]);
    expect(Number(lease.amount_nano)).toBeGreaterThan(0);
    const refused = await reconcile(later, { amount: '100.000000001' });
    expect([refused.status, refused.json.error.param]).toEqual([400, 'amount']);
    expect((await reconcile(later, { amount: balance })).json.balance_after).toBe(0);
    expect((await reconcile(earlier, { amount: '0.000000001' })).status).toBe(400);
    expect(await balanceOf(user)).toBe(0);
  });

  it.each([-1, '-0.000000001', '1e3', null, undefined, 'ten', '9223372037'])(
    'are not reconciled with %j',
    async (amount) => {
      const { status, json } = await reconcile('x', { amount });
      expect([status, json.error.param]).toEqual([400, 'amount']);
    },
  );

  it('must be there', async () => {
    const [id] = await twoCallsOf(userId());
    for (const wrong of ['x', id.replace(/\d+$/, '9'), id.slice(0, -2), `${id}999999999`, "1' OR 1=1"]) {
      const { status, json } = await reconcile(encodeURIComponent(wrong), { amount: 0 });
      expect([status, json.error.code]).toEqual([404, 'not_found']);
    }
  });

  it('leave the books balanced', async () => {
    const users = events.filter((event) => event.kind === 'admin-action' && event.action === 'reconcile');
    const subjects = new Set(users.map((event) => 'subject' in event && event.subject));
    const { json } = await get('/admin/ledger/audit?examples=100', 'root');
    expect(json.mismatches.filter(({ subject }: { subject: string }) => subjects.has(subject))).toEqual([]);
    expect(subjects.size).toBe(5);
    const plan: { 'QUERY PLAN': string }[] = await db.dataSource.transaction(async (manager) => {
      await manager.query('SET LOCAL enable_seqscan = off');
      return manager.query(
        `EXPLAIN ${FIND_ENTRIES_OF_HOLD.replaceAll('$1', "'018f0000-0000-7000-8000-000000000000'::uuid")}`,
      );
    });
    expect(plan.map((line) => line['QUERY PLAN']).join('\n')).not.toMatch(/Seq Scan on ledger/);
  });
});

describe('totals', () => {
  it('are the same in every report, the ledger, the receipts and the balances', async () => {
    const users = Array.from({ length: 3 }, userId);
    const requests: { id: string; user: string }[] = [];
    for (const [index, user] of users.entries()) {
      for (let round = 0; round <= index; round += 1) {
        const id = `t${round}-${user}`;
        await get('/spend/ok', user, { 'x-request-id': id });
        requests.push({ id, user });
      }
      await get('/billing/balance', user); // booked
    }
    await post(`/admin/requests/${requests[0]?.id}/refund`, {});
    await post(`/admin/requests/${requests[1]?.id}/refund`, { amount: '0.000001' });
    const receipts = await Promise.all(
      requests.map(async ({ id, user }) => (await get(`/billing/requests/${id}`, user)).json.settlement),
    );
    const charged = sumOf(receipts.map((receipt) => receipt.charged));
    const refunded = sumOf(receipts.map((receipt) => receipt.refunded));
    expect(refunded).toBeGreaterThan(1000n);
    for (const { charged: amount, lines } of receipts) {
      expect(toNano(amount)).toBe(sumOf(lines.map((line: { amount: number }) => line.amount)));
    }
    const usage = await Promise.all(
      users.flatMap((user) =>
        ['day', 'model'].map(async (by) => (await get(`/billing/usage?group_by=${by}`, user)).json.usage),
      ),
    );
    expect(sumOf(usage.flat().map(({ net }) => net))).toBe(2n * (charged - refunded));
    const balances = await Promise.all(
      users.map(async (user) => (await get('/billing/balance', user)).json.balance),
    );
    expect(sumOf(balances)).toBe(300n * 10n ** 9n - charged + refunded);

    const reports = await Promise.all(
      ['day', 'model', 'provider', 'user'].map(
        async (by) =>
          (await get(`/admin/reports?group_by=${by}`, 'root')).json.rows as { [key: string]: number }[],
      ),
    );
    const entries = (await get('/admin/transactions?limit=10000', 'root')).json.transactions as {
      user_id: string;
      type: string;
      amount: number;
    }[];
    const ofType = (type: string): bigint =>
      sumOf(entries.filter((entry) => entry.type === type).map(({ amount }) => amount));
    for (const rows of reports) {
      expect(sumOf(rows.map((row) => row['charged']!))).toBe(-ofType('charge'));
      expect(sumOf(rows.map((row) => row['refunded']!))).toBe(ofType('refund'));
    }
    const ofUsers = entries.filter(({ user_id, type }) => users.includes(user_id) && type !== 'grant');
    expect(sumOf(ofUsers.map(({ amount }) => amount))).toBe(refunded - charged);
  });
});

// Last: its entries belong to no hold.
describe('a report of very many', () => {
  it('is not cut without a word', async () => {
    await db.dataSource.query(
      `INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, hold_id, created_at)
       SELECT md5(n::text)::uuid, 'many-' || n, 'charge', 'revenue', 0, 0, 'x', md5(n::text)::uuid, '2020-01-15'
         FROM generate_series(1, 10001) AS n`,
    );
    const january = '/admin/reports?group_by=user&from=2020-01-01&to=2020-02-01';
    for (const format of ['json', 'csv']) {
      const cut = await get(`${january}&format=${format}`, 'root');
      expect([cut.status, cut.json.error.message]).toEqual([
        400,
        'The report has 10001 rows, more than 10000. Request it in pages, with limit and offset.',
      ]);
    }
    expect((await get(`${january}&limit=10000&format=csv`, 'root')).headers.get('x-total-count')).toBe(
      '10001',
    );
    expect((await get(`${january}&limit=10000&offset=10000`, 'root')).json.rows).toHaveLength(1);
  });

  it('has each entry in one day of UTC, also where clocks are set back', async () => {
    const user = userId();
    await db.dataSource.query(
      `INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, hold_id, created_at)
       SELECT id, $1, 'charge', 'revenue', -nano, 0, 'x', id, time::timestamptz
         FROM (VALUES (gen_random_uuid(), 1, '2026-10-24T23:59:59.999999Z'), (gen_random_uuid(), 20, '2026-10-25T00:00:00Z'),
                      (gen_random_uuid(), 300, '2026-10-25T02:30:00+02:00'), (gen_random_uuid(), 4000, '2026-10-25T02:30:00+01:00'),
                      (gen_random_uuid(), 50000, '2026-10-25T23:59:59.999999Z'), (gen_random_uuid(), 600000, '2026-10-26T00:00:00Z')
              ) AS entries (id, nano, time)`,
      [user],
    );
    const spent = async (query: string): Promise<unknown[]> =>
      (await get(`/billing/usage?${query}`, user)).json.usage.map((row: { key: string; charged: number }) => [
        row.key,
        Number(toNano(row.charged)),
      ]);
    expect(await spent('from=2026-10-24&to=2026-10-27')).toEqual([
      ['2026-10-24', 1],
      ['2026-10-25', 54_320],
      ['2026-10-26', 600_000],
    ]);
    expect(await spent('from=2026-10-25&to=2026-10-26')).toEqual([['2026-10-25', 54_320]]);
    expect(await spent('from=2026-10-25T00:00:00&to=2026-10-26T00:00:00')).toEqual([['2026-10-25', 54_320]]);
  });
});

// Last: these entries belong to no account, which an audit would tell of.
describe('pages of the ledger', () => {
  it('page through a ledger that goes on growing: each entry once, newest first, however far apart they are', async () => {
    const users = [userId(), userId()];
    const book = (days: readonly number[], user: string) =>
      db.dataSource.query(
        `INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, created_at)
         SELECT gen_random_uuid(), $1, 'topup', 'deposits', 1, 1, day, timestamptz '2021-03-01Z' - day::float8 * interval '1 day'
           FROM unnest($2::text[]) day`,
        [user, days.map(String)],
      );
    const days = [0.001, 0.002, 0.2, 0.21, 3, 20, 20, 20, 25];
    for (const [index, day] of days.entries()) await book([day], users[index % 2]!);
    const period = 'from=2021-02-01&to=2021-03-01&limit=2';
    for (const [path, expected] of [
      [`/admin/transactions?${period}`, days],
      [`/admin/transactions?${period}&user_id=${users[0]}`, days.filter((_, index) => index % 2 === 0)],
      [`/billing/transactions?limit=2`, days.filter((_, index) => index % 2 === 0)],
    ] as const) {
      const seen: { id: string; description: string }[] = [];
      for (let after = ''; ;) {
        const page = (await get(`${path}${after}`, path.startsWith('/admin') ? 'root' : users[0]!)).json;
        seen.push(...page.transactions);
        if (page.transactions.length < 2) break;
        after = `&after=${page.transactions.at(-1).id}`;
        await book([0.0001], users[0]!);
      }
      const old = seen.filter(({ description }) => !/0\.0001|credit/.test(description));
      expect(old.map(({ description }) => Number(description))).toEqual(expected);
      expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
    }
    const [{ id }] = (await get(`/admin/transactions?${period}`, 'root')).json.transactions;
    for (const [path, user] of [
      [`/billing/transactions?after=${id}`, users[1]!],
      [`/admin/transactions?after=${id}&user_id=${users[1]}`, 'root'],
      ['/admin/transactions?after=txn_1', 'root'],
      [`/admin/transactions?after=txn_${'0'.repeat(32)}`, 'root'],
    ] as const) {
      expect((await get(path, user)).json.error).toMatchObject({ param: 'after' });
    }
  });

  it('get the newest entries without a read of all the month', async () => {
    await db.dataSource.query(
      `INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, created_at)
       SELECT gen_random_uuid(), $1, 'topup', 'deposits', 1, 1, n, timestamptz '2021-05-01Z' - n * interval '100 minutes'
         FROM generate_series(1, 400) n`,
      [userId()],
    );
    const query = vi.spyOn(pg.Client.prototype, 'query');
    const times = async (path: string): Promise<string[]> => {
      query.mockClear();
      const { transactions } = (await get(path, 'root')).json;
      expect(transactions).toHaveLength(100);
      return query.mock.calls.flatMap(([statement]) => {
        const { text, values } = statement as { text?: string; values?: unknown[] };
        return text?.includes('balance_after_nano') ? [(values![2] as Date).toISOString()] : [];
      });
    };
    const path = '/admin/transactions?from=2021-04-01&to=2021-05-01';
    expect(await times(path)).toEqual([
      '2021-04-30T23:50:00.000Z',
      '2021-04-30T21:20:00.000Z',
      '2021-04-29T05:20:00.000Z',
      '2021-04-20T08:00:00.000Z',
    ]);
    expect(await times(`${path}&limit=100&offset=299`)).toHaveLength(4);
    query.mockRestore();
  });
});
