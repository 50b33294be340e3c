import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDatabase, type TestDatabase } from '@app/testing';
import type { Pool } from 'pg';
import { DataSource } from 'typeorm';
import { AccountsService } from '../../src/billing/accounts/accounts.service.js';
import type { HoldOrder } from '../../src/billing/holds/hold-order.js';
import { HoldsService } from '../../src/billing/holds/holds.service.js';
import { BillingJournal } from '../../src/billing/journal/billing-journal.service.js';
import { MoneyDatabase, type StatementRunner } from '../../src/billing/money-database.js';
import { PriceVersions } from '../../src/billing/prices/price-versions.service.js';
import type { SettlementRecord } from '../../src/billing/settle/settlement-record.js';
import { type Settling, Settler } from '../../src/billing/settle/settler.service.js';
import { GatewayInstance } from '../../src/billing/upkeep/gateway-instance.service.js';
import type { AppConfig } from '../../src/config/app-config.js';
import { type GatewayEvent, Telemetry } from '../../src/telemetry/telemetry.js';
import { BILLING_ENTITIES, BILLING_MIGRATIONS } from '../../src/billing/persistence.js';

/** A database of one billing test file, reached the way the gateway reaches it. */
export interface BillingDatabase {
  readonly database: TestDatabase;
  readonly dataSource: DataSource;
  close(): Promise<void>;
}

/** Real PostgreSQL, empty money tables. Migrates by itself, so that it depends on nothing but the migrations. */
export async function openBillingDatabase(poolSize = 16): Promise<BillingDatabase> {
  const database = await createDatabase({ migrated: false });
  const dataSource = await connect(database.url, poolSize);
  await dataSource.runMigrations();
  return {
    database,
    dataSource,
    close: async () => {
      await dataSource.destroy();
      await database.drop();
    },
  };
}

export function connect(url: string, poolSize = 16): Promise<DataSource> {
  return new DataSource({
    type: 'postgres',
    url,
    entities: BILLING_ENTITIES,
    migrations: BILLING_MIGRATIONS,
    poolSize,
    extra: {
      connectionTimeoutMillis: 1000,
      statement_timeout: 2000,
      query_timeout: 2500,
      lock_timeout: 1000,
    },
    poolErrorHandler: () => undefined,
  }).initialize();
}

/** The billing part of a configuration; nothing else of it is read by billing. */
export function billingConfig(changes: Partial<AppConfig['billing']> = {}, dataDir = tmpdir()): AppConfig {
  const billing: AppConfig['billing'] = {
    enabled: true,
    currency: 'USD',
    usdRate: '1',
    defaultBalanceNanoUsd: 0n,
    outageMode: 'degraded',
    outageCreditNanoUsd: 0n,
    holdTtlMs: 900_000,
    cacheHitPriceFactor: '0',
    idempotencyTtlMs: 86_400_000,
    ...changes,
  };
  return { dataDir, billing } as AppConfig;
}

/** Statements straight through the driver's pool, as the gateway sends them. */
export function statementsOf(dataSource: DataSource): StatementRunner {
  const pool = (dataSource.driver as unknown as { master: Pool }).master;
  return {
    query: async <Row extends object>(sql: string, parameters: readonly unknown[] = []) =>
      (await pool.query(sql, [...parameters])).rows as Row[],
  };
}

/** One gateway process's billing, without Nest: everything in it is real. */
export interface BillingMachine extends AsyncDisposable {
  readonly accounts: AccountsService;
  readonly database: MoneyDatabase;
  readonly holds: HoldsService;
  readonly instance: GatewayInstance;
  readonly journal: BillingJournal;
  readonly prices: PriceVersions;
  readonly settler: Settler;
  readonly telemetry: Telemetry;
  readonly events: readonly GatewayEvent[];
  readonly config: AppConfig;
}

export async function startMachine(
  dataSource: DataSource,
  changes: Partial<AppConfig['billing']> = {},
  dataDir?: string,
): Promise<BillingMachine> {
  const ownDir = dataDir ?? (await mkdtemp(join(tmpdir(), 'billing-')));
  const config = billingConfig(changes, ownDir);
  const telemetry = new Telemetry();
  const events: GatewayEvent[] = [];
  telemetry.addSink({ event: (event) => void events.push(event) });
  const instance = new GatewayInstance();
  const database = new MoneyDatabase(statementsOf(dataSource));
  const accounts = new AccountsService(database, config);
  const prices = new PriceVersions(database, config);
  const journal = new BillingJournal(instance, telemetry, config);
  await journal.open();
  const settler = new Settler(database, accounts, prices, journal, telemetry);
  const holds = new HoldsService(database, accounts, settler, instance, config);
  return {
    accounts,
    database,
    holds,
    instance,
    journal,
    prices,
    settler,
    telemetry,
    events,
    config,
    [Symbol.asyncDispose]: async () => {
      await settler.drain({ timeoutMs: 2000 });
      await journal.close();
      if (dataDir === undefined) await rm(ownDir, { recursive: true, force: true });
    },
  };
}

export function order(userId: string, takeNano: bigint, changes: Partial<HoldOrder> = {}): HoldOrder {
  return {
    billingId: randomUUID(),
    requestId: 'request',
    userId,
    model: 'm',
    stream: false,
    targets: [],
    takeNano,
    needNano: takeNano,
    boundNano: takeNano,
    idempotency: undefined,
    ...changes,
  };
}

export function settling(
  hold: Pick<HoldOrder, 'billingId' | 'userId'>,
  cost: bigint,
  changes: Partial<SettlementRecord> = {},
): Settling {
  const record: SettlementRecord = {
    id: hold.billingId,
    request_id: 'request',
    user_id: hold.userId,
    model: 'm',
    stream: false,
    targets: [],
    instance_id: hold.billingId,
    on_credit: false,
    bound: cost.toString(),
    release: false,
    unknown: false,
    cost: cost.toString(),
    chargeable: cost.toString(),
    outcome: 'usage',
    attempts: [],
    description: 'Chat completion with m',
    ...changes,
  };
  return { record, json: JSON.stringify(record) };
}

/** Gives an account money without the ceremony; the ledger knows. */
export async function fund(dataSource: DataSource, userId: string, nano: bigint): Promise<void> {
  await dataSource.query(
    `WITH a AS (INSERT INTO account (user_id, balance_nano) VALUES ($1, $2)
                ON CONFLICT (user_id) DO UPDATE SET balance_nano = account.balance_nano + $2 RETURNING balance_nano)
     INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description)
     SELECT gen_random_uuid(), $1, 'topup', 'deposits', $2, balance_nano, 'test' FROM a`,
    [userId, nano.toString()],
  );
}

export interface Books {
  readonly balance: bigint;
  readonly held: bigint;
  readonly ledger: bigint;
  readonly openHolds: bigint;
  readonly charges: number;
}

export async function booksOf(dataSource: DataSource, userId: string): Promise<Books> {
  const [row] = await dataSource.query<Record<keyof Books, string>[]>(
    `SELECT balance_nano AS balance, held_nano AS held,
            (SELECT coalesce(sum(amount_nano), 0) FROM ledger l WHERE l.user_id = a.user_id) AS ledger,
            (SELECT coalesce(sum(amount_nano), 0) FROM hold h WHERE h.user_id = a.user_id AND state = 'open') AS "openHolds",
            (SELECT count(*) FROM ledger l WHERE l.user_id = a.user_id AND kind = 'charge') AS charges
       FROM account a WHERE user_id = $1`,
    [userId],
  );
  if (!row) throw new Error(`no account ${userId}`);
  return {
    balance: BigInt(row.balance),
    held: BigInt(row.held),
    ledger: BigInt(row.ledger),
    openHolds: BigInt(row.openHolds),
    charges: Number(row.charges),
  };
}
