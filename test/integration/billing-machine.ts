import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChatRequest } from '@app/contracts';
import { type PriceCard, priceVersionOf } from '@app/money';
import type { Pool } from 'pg';
import { DataSource } from 'typeorm';
import { AccountsService } from '../../src/billing/accounts/accounts.service.js';
import type { AttemptReceipt, QuoteTarget } from '../../src/billing/billing-session.js';
import type { HoldOrder } from '../../src/billing/holds/hold-order.js';
import { HoldsService } from '../../src/billing/holds/holds.service.js';
import { AnswerPacker } from '../../src/billing/idempotency/answer-packer.js';
import { IdempotencyClaims } from '../../src/billing/idempotency/idempotency-claims.js';
import {
  IdempotencyService,
  type IdempotentRequest,
} from '../../src/billing/idempotency/idempotency.service.js';
import { ResponseStore } from '../../src/billing/idempotency/response-store.js';
import type { StoredResponse } from '../../src/billing/idempotency/stored-response.js';
import { BillingJournal } from '../../src/billing/journal/billing-journal.service.js';
import { Leases } from '../../src/billing/leases/leases.service.js';
import { MoneyDatabase, type StatementRunner } from '../../src/billing/money-database.js';
import { OutageCredit } from '../../src/billing/outage/outage-credit.service.js';
import { BILLING_ENTITIES, BILLING_MIGRATIONS } from '../../src/billing/persistence.js';
import { PriceVersions } from '../../src/billing/prices/price-versions.service.js';
import { QuoterService } from '../../src/billing/quote/quoter.service.js';
import { BillingSessions } from '../../src/billing/session/billing-sessions.service.js';
import { ChargeCalculator } from '../../src/billing/session/charge-calculator.js';
import type { SessionIdentity } from '../../src/billing/session/held.js';
import { HoldTaker } from '../../src/billing/session/hold-taker.js';
import { SettlementRecords } from '../../src/billing/session/settlement-records.js';
import type { SettlementRecord } from '../../src/billing/settle/settlement-record.js';
import { type Settling, Settler } from '../../src/billing/settle/settler.service.js';
import { BillingUpkeep } from '../../src/billing/upkeep/billing-upkeep.service.js';
import { ForgottenHolds } from '../../src/billing/upkeep/forgotten-holds.service.js';
import { GatewayInstance } from '../../src/billing/upkeep/gateway-instance.service.js';
import { JournalRecovery } from '../../src/billing/upkeep/journal-recovery.service.js';
import type { AppConfig } from '../../src/config/app-config.js';
import { uuidV7 } from '../../src/edge/uuid-v7.js';
import type { PlannedTarget, RoutePlan } from '../../src/routing/route-plan.js';
import { type GatewayEvent, Telemetry } from '../../src/telemetry/telemetry.js';

/** What the gateway's DataSource is like, without the gateway. */
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
    leases: false,
    cacheHitPriceFactor: '0',
    idempotencyTtlMs: 86_400_000,
    idempotencyKeys: [],
    retentionMs: 0,
    auditIntervalMs: 0,
    ...changes,
  };
  return { dataDir, billing, timeouts: { requestMs: 60_000 } } as AppConfig;
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
  readonly claims: IdempotencyClaims;
  readonly config: AppConfig;
  readonly credit: OutageCredit;
  readonly database: MoneyDatabase;
  readonly events: readonly GatewayEvent[];
  readonly forgotten: ForgottenHolds;
  readonly holds: HoldsService;
  readonly idempotency: IdempotencyService;
  readonly instance: GatewayInstance;
  readonly journal: BillingJournal;
  readonly leases: Leases;
  readonly prices: PriceVersions;
  readonly quoter: QuoterService;
  readonly recovery: JournalRecovery;
  readonly sessions: BillingSessions;
  readonly settler: Settler;
  readonly telemetry: Telemetry;
  readonly upkeep: BillingUpkeep;
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
  const database = new MoneyDatabase(statementsOf(dataSource), config.billing.currency);
  const credit = new OutageCredit(telemetry, config);
  const leases = new Leases(database, instance, credit, telemetry, config);
  const accounts = new AccountsService(database, leases, config);
  const prices = new PriceVersions(database, config);
  const journal = new BillingJournal(instance, telemetry, config);
  if (config.billing.enabled) await journal.open();
  const packer = new AnswerPacker(config);
  const responses = new ResponseStore(database, packer, telemetry, config);
  const settler = new Settler(database, accounts, prices, journal, responses, telemetry);
  const holds = new HoldsService(database, accounts, settler, leases, instance, config);
  const claims = new IdempotencyClaims();
  const taker = new HoldTaker(holds, leases, journal, prices, credit, claims, instance, settler);
  const charges = new ChargeCalculator(prices, telemetry, config);
  const records = new SettlementRecords(claims, instance, config);
  const sessions = new BillingSessions(
    taker,
    charges,
    records,
    settler,
    journal,
    credit,
    packer,
    telemetry,
    config,
  );
  const idempotency = new IdempotencyService(
    database,
    responses,
    packer,
    claims,
    instance,
    telemetry,
    config,
  );
  const recovery = new JournalRecovery(database, settler, prices, instance, config);
  const forgotten = new ForgottenHolds(database, settler, instance, config);
  const upkeep = new BillingUpkeep(
    database,
    instance,
    journal,
    settler,
    leases,
    recovery,
    forgotten,
    sessions,
    prices,
    telemetry,
    config,
  );
  return {
    accounts,
    claims,
    config,
    credit,
    database,
    events,
    forgotten,
    holds,
    idempotency,
    instance,
    journal,
    leases,
    prices,
    quoter: new QuoterService(prices, config),
    recovery,
    sessions,
    settler,
    telemetry,
    upkeep,
    [Symbol.asyncDispose]: async () => {
      await settler.drain({ timeoutMs: 2000 });
      await journal.close();
      if (dataDir === undefined) await rm(ownDir, { recursive: true, force: true });
    },
  };
}

/** A request with an Idempotency-Key, always with the same body. */
export function keyedRequest(userId: string, billingId: string, key: string): IdempotentRequest {
  return {
    userId,
    billingId,
    key,
    route: 'POST /v1/chat/completions',
    body: { model: 'echo', messages: [] },
    stream: false,
    signal: new AbortController().signal,
  };
}

/** What a retry of it must get. */
export function answerTo(billingId: string): StoredResponse {
  return { status: 200, headers: { 'x-request-cost': '0.1' }, body: `{"id":"${billingId}"}`, stream: false };
}

export const PRICES: PriceCard = {
  base: { inputPico: 1_000_000n, outputPico: 2_000_000n },
  tiers: [],
  requestPico: 0n,
  toolCallPico: {},
};

/** A target of 1,000 nano per input and 2,000 nano per output token. */
export function plannedTarget(changes: Partial<PlannedTarget> = {}): PlannedTarget {
  const price = changes.price ?? PRICES;
  return {
    provider: 'echo',
    upstreamModel: 'echo',
    weight: 1,
    contextWindow: 100_000,
    maxOutputTokens: 1000,
    capabilities: {
      tools: true,
      vision: true,
      documents: true,
      audioInput: true,
      jsonSchema: true,
      reasoning: false,
    },
    price,
    priceVersion: priceVersionOf(price),
    modelId: 'echo',
    reason: 'weight',
    ...changes,
  };
}

export function planOf(...targets: PlannedTarget[]): RoutePlan {
  const [first = plannedTarget()] = targets;
  const { modelId: id } = first;
  const model = {
    id,
    root: id,
    ownedBy: 'o',
    created: 0,
    targets,
    fallbacks: [],
    cache: undefined,
    aliases: [],
  };
  return { model, targets: targets.length > 0 ? targets : [first] };
}

export function chat(content: string, rest: Partial<ChatRequest> = {}): ChatRequest {
  return { model: 'echo', messages: [{ role: 'user', content }], ...rest };
}

export function targetOf({ provider, upstreamModel, priceVersion }: PlannedTarget): QuoteTarget {
  return { provider, upstreamModel, priceVersion };
}

export const userId = (): string => `user-${randomUUID()}`;

export function identityOf(user: string): SessionIdentity {
  return { billingId: uuidV7(), requestId: `request-${randomUUID()}`, userId: user };
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
  return { record };
}

/** Sent to `echo`, and not answered. */
export function unansweredAttempt(outcome: string): AttemptReceipt {
  return {
    provider: 'echo',
    upstreamModel: plannedTarget().upstreamModel,
    outcome,
    upstreamStatus: undefined,
    providerRequestId: undefined,
    durationMs: 1,
    isCostUnknown: true,
  };
}

/** The operator's rows of one request, in the order of its attempts. */
export function unknownCosts(
  dataSource: DataSource,
  billingId: string,
): Promise<{ attempt: number; provider: string; reason: string }[]> {
  return dataSource.query(
    'SELECT attempt, provider, reason FROM unknown_cost WHERE hold_id = $1 ORDER BY attempt',
    [billingId],
  );
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
