import { randomUUID } from 'node:crypto';
import type { INestApplicationContext } from '@nestjs/common';
import { eventually, FaultProxy } from '@app/testing';
import { DataSource } from 'typeorm';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Hold } from '../../src/billing/entities/hold.entity.js';
import { ReceiptsService } from '../../src/billing/reports/receipts.service.js';
import { DatabaseService } from '../../src/database/database.service.js';
import {
  type BillingDatabase,
  type BillingMachine,
  openBillingDatabase,
  startMachine,
} from './billing-support.js';
import { startDatabaseApp } from './database-app.js';

let db: BillingDatabase;
let proxy: FaultProxy;
let machine: BillingMachine;
let app: INestApplicationContext | undefined;
beforeEach(async () => {
  db = await openBillingDatabase(2);
  proxy = await FaultProxy.start(db.database.url);
  machine = await startMachine(db.dataSource);
});
afterEach(async () => {
  await proxy.accept();
  await app?.close();
  await proxy.stop();
  await machine[Symbol.asyncDispose]();
  await db.close();
});

/** On the gateway's own connections, through the proxy. */
async function openReceipts(): Promise<ReceiptsService> {
  app = await startDatabaseApp(proxy.through(db.database.url), { poolSize: 3 });
  return new ReceiptsService(
    app.get(DataSource).getRepository(Hold),
    app.get(DatabaseService),
    machine.settler,
  );
}

async function insertHold(requestId: string, minute: number): Promise<string> {
  const id = randomUUID();
  await db.database.query(
    `INSERT INTO hold (id, request_id, user_id, model, stream, targets, amount_nano, bound_nano, instance_id, created_at, expires_at)
     VALUES ($1, $2, 'alice', 'm', false, '[]', 9007199254740993001, 1, $1, '2026-01-01'::timestamptz + $3 * interval '1 min', '2026-01-02 00:00:00.123456Z')`,
    [id, requestId, minute],
  );
  return id;
}

it('a request is found by its own id first, however many others were given that id by their client', async () => {
  const own = await insertHold('r', 0);
  const others: string[] = [];
  for (let minute = 1; minute <= 25; minute += 1) others.unshift(await insertHold(own, minute));
  const receipts = await openReceipts();
  const receipt = await receipts.find(own, 'alice');
  expect([receipt.billing_id, ...receipt.same_request_id]).toEqual([own, ...others.slice(0, 19)]);
  expect(JSON.stringify(receipt.hold)).toBe(
    '{"amount":9007199254.740993001,"worst_case":0.000000001,"on_credit":false,"expires_at":"2026-01-02T00:00:00.123Z"}',
  );
  expect(await receipts.find('r', undefined)).toEqual({ ...receipt, same_request_id: [] });
  await expect(receipts.find(own, 'bob')).rejects.toMatchObject({ code: 'not_found' });
});

it('no receipt is 503 while the database is away, at the start and later', async () => {
  await proxy.refuse();
  const receipts = await openReceipts();
  await expect(receipts.find('r', 'alice')).rejects.toMatchObject({ code: 'database_unavailable' });
  await proxy.accept();
  await insertHold('r', 0);
  await eventually('the database is back', () => app?.get(DatabaseService).isUp() === true);
  expect(await receipts.find('r', 'alice')).toMatchObject({ request_id: 'r' });
  await proxy.refuse();
  await expect(receipts.find('r', 'alice')).rejects.toMatchObject({ code: 'database_unavailable' });
});
