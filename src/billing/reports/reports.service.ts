import { GatewayError, type Usage } from '@app/contracts';
import { exactJsonNumber, type ExactJsonNumber } from '@app/money';
import { Injectable } from '@nestjs/common';
import { DatabaseService } from '../../database/database.service.js';
import { SQL_STATE, sqlStateOf } from '../money-database.js';
import { Leases } from '../leases/leases.service.js';
import { Settler } from '../settle/settler.service.js';
import { entryIdOf, transactionId } from '../transaction-id.js';
import {
  COUNT_USERS,
  FIND_PLACE,
  type Grouping,
  LIST_ENTRIES,
  LIST_TRANSACTIONS,
  LIST_USERS,
  spendReportPage,
} from './report-statements.js';

/**
 * Everybody's entries are indexed by time only, in blocks (BRIN): a page of the newest is looked for in a short period, then
 * in longer ones until it is full. Sorting a whole month for it took seconds, and the disk.
 */
const FIRST_LOOK_MS = 10 * 60_000;
const LOOK_FURTHER = { least: 2, most: 16, margin: 1.5 };
/** How far the database's clock may be ahead of ours. */
const CLOCKS_APART_MS = 60_000;

export interface TransactionView {
  readonly id: string;
  readonly type: string;
  readonly amount: ExactJsonNumber;
  readonly description: string;
  readonly timestamp: string;
  readonly balance_after: ExactJsonNumber;
  readonly request_id: string | null;
  readonly model: string | null;
  readonly provider: string | null;
  readonly prompt_tokens: number | null;
  readonly completion_tokens: number | null;
  readonly price: { readonly version: string; readonly factor: string } | null;
}

/** An entry as administrators see it: whose it is, and who made it. */
export interface EntryView extends TransactionView {
  readonly user_id: string;
  /** The administrator who booked it. */
  readonly actor: string | null;
  readonly idempotency_key: string | null;
}

export interface SpendView {
  readonly key: string;
  readonly requests: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly charged: ExactJsonNumber;
  readonly refunded: ExactJsonNumber;
  readonly net: ExactJsonNumber;
}

export interface UserView {
  readonly user_id: string;
  readonly balance: ExactJsonNumber;
  readonly held: ExactJsonNumber;
  readonly available: ExactJsonNumber;
  readonly created_at: string;
}

export interface Period {
  readonly from: Date;
  /** Exclusive. */
  readonly to: Date;
}

export interface Page {
  readonly limit: number;
  readonly offset: number;
}

/** A page of a list that grows at its top: the next page can begin below an entry, wherever that is by then. */
export interface LedgerPage extends Page {
  /** The entry's id as clients see it; `undefined` = from the newest on. */
  readonly after: string | undefined;
}

export interface EntryFilter extends LedgerPage {
  /** `undefined` = everybody */
  readonly userId: string | undefined;
  /** `undefined` = all kinds */
  readonly kind: string | undefined;
  readonly period: Period;
}

/** The ledger, for people to read. Off the money path: over the connections for everything else. */
@Injectable()
export class ReportsService {
  constructor(
    private readonly database: DatabaseService,
    private readonly settler: Settler,
    private readonly leases: Leases,
  ) {}

  async transactions(userId: string, { after, limit, offset }: LedgerPage): Promise<TransactionView[]> {
    await this.settler.drain({ userId });
    const place = await this.#placeOf(after, userId);
    const parameters = [userId, limit, offset, place?.at, place?.seq];
    const rows = await this.#read<TransactionRow>(
      this.database,
      LIST_TRANSACTIONS,
      parameters,
      offset > 0 && TOO_FAR,
    );
    return rows.map(toTransaction);
  }

  /** The ledger of one or of all, newest first. */
  async entries({ userId, kind, period, after, limit, offset }: EntryFilter): Promise<EntryView[]> {
    await this.settler.drain({ userId });
    const place = await this.#placeOf(after, userId);
    const newestMs = Math.min(period.to.getTime(), place?.until_ms ?? Date.now() + CLOCKS_APART_MS);
    // One user's entries have an index by time.
    let lookMs = userId === undefined ? FIRST_LOOK_MS : Infinity;
    for (;;) {
      const from = new Date(Math.max(period.from.getTime(), newestMs - lookMs));
      const parameters = [userId, kind, from, period.to, limit, offset, place?.at, place?.seq];
      const rows = await this.#read<EntryRow>(this.database.patient, LIST_ENTRIES, parameters);
      if (rows.length === limit || from <= period.from) return rows.map(toEntry);
      const { least, most, margin } = LOOK_FURTHER;
      lookMs *= Math.min(most, Math.max(least, (margin * limit) / rows.length));
    }
  }

  /**
   * @param userId  `undefined` = everybody
   * @returns the page's rows, and how many rows the whole report has
   */
  async spend(
    grouping: Grouping,
    period: Period,
    userId: string | undefined,
    { limit, offset }: Page,
  ): Promise<{ rows: SpendView[]; total: number }> {
    await this.settler.drain({ userId });
    const parameters = [userId ?? null, period.from, period.to, limit, offset];
    // One user's entries have an index, and need not wait for a turn behind reports over everybody's.
    const statements = userId === undefined ? this.database.patient : this.database;
    const [page] = await this.#read<SpendPage>(statements, spendReportPage(grouping), parameters);
    return { rows: (page?.rows ?? []).map(toSpend), total: page?.total ?? 0 };
  }

  async users(search: string, limit: number, offset: number): Promise<{ users: UserView[]; total: number }> {
    // The search is text, not a pattern: `%` and `_` mean themselves.
    const pattern = `%${search.replace(/[\\%_]/g, '\\$&')}%`;
    const [rows, [count]] = await Promise.all([
      this.database.query<UserRow>(LIST_USERS, [pattern, limit, offset, this.leases.instanceId]),
      this.database.query<{ total: number }>(COUNT_USERS, [pattern]),
    ]);
    const users = rows.map((row) => toUser(row, this.leases.heldNano(row.user_id)));
    return { users, total: count?.total ?? 0 };
  }

  async #placeOf(after: string | undefined, userId: string | undefined): Promise<Place | undefined> {
    if (after === undefined) return undefined;
    const [place] = await this.database.query<Place>(FIND_PLACE, [entryIdOf(after), userId]);
    if (place) return place;
    throw new GatewayError('invalid_query', 'after is not the id of an entry of this ledger.', {
      param: 'after',
    });
  }

  /**
   * @param fault  the client's, if time runs out: it asked for too much; false where that is the database's fault
   */
  async #read<Row extends object>(
    statements: Pick<DatabaseService, 'query'>,
    sql: string,
    parameters: readonly unknown[],
    fault: typeof TOO_LONG | false = TOO_LONG,
  ): Promise<Row[]> {
    try {
      return await statements.query<Row>(sql, parameters);
    } catch (error) {
      if (!fault || sqlStateOf(error) !== SQL_STATE.queryCanceled) throw error;
      throw new GatewayError('invalid_query', fault.message, { param: fault.param, cause: error });
    }
  }
}

const TOO_LONG = {
  message: 'The period has more entries than can be read in time. Request a shorter one.',
  param: 'from',
};
const TOO_FAR = {
  message:
    'There are more entries before this page than can be read in time. Continue with after instead of offset.',
  param: 'offset',
};

/** The place of an entry in the order of all. */
interface Place {
  at: string;
  seq: string;
  until_ms: number;
}

interface TransactionRow {
  id: string;
  kind: string;
  amount_nano: string;
  balance_after_nano: string;
  description: string;
  request_id: string | null;
  model: string | null;
  provider: string | null;
  usage: Usage | null;
  price_version: string | null;
  price_factor: string | null;
  created_at: Date;
}

interface EntryRow extends TransactionRow {
  user_id: string;
  actor: string | null;
  idempotency_key: string | null;
}

interface SpendPage {
  rows: SpendRow[];
  total: number;
}

interface SpendRow {
  key: string;
  requests: number;
  input_tokens: string;
  output_tokens: string;
  charged_nano: string;
  refunded_nano: string;
}

interface UserRow {
  user_id: string;
  balance_nano: string;
  held_nano: string;
  created_at: Date;
}

function toTransaction(row: TransactionRow): TransactionView {
  return {
    id: transactionId(row.id),
    type: row.kind,
    amount: exactJsonNumber(BigInt(row.amount_nano)),
    description: row.description,
    timestamp: row.created_at.toISOString(),
    balance_after: exactJsonNumber(BigInt(row.balance_after_nano)),
    request_id: row.request_id,
    model: row.model,
    provider: row.provider,
    prompt_tokens: row.usage?.inputTokens ?? null,
    completion_tokens: row.usage?.outputTokens ?? null,
    price:
      row.price_version === null ? null : { version: row.price_version, factor: row.price_factor ?? '1' },
  };
}

function toEntry(row: EntryRow): EntryView {
  return {
    user_id: row.user_id,
    ...toTransaction(row),
    actor: row.actor,
    idempotency_key: row.idempotency_key,
  };
}

function toSpend(row: SpendRow): SpendView {
  const charged = BigInt(row.charged_nano);
  const refunded = BigInt(row.refunded_nano);
  return {
    key: row.key,
    requests: row.requests,
    prompt_tokens: Number(row.input_tokens),
    completion_tokens: Number(row.output_tokens),
    charged: exactJsonNumber(charged),
    refunded: exactJsonNumber(refunded),
    net: exactJsonNumber(charged - refunded),
  };
}

function toUser(row: UserRow, leasedNano: bigint): UserView {
  const balance = BigInt(row.balance_nano);
  const held = BigInt(row.held_nano) + leasedNano;
  return {
    user_id: row.user_id,
    balance: exactJsonNumber(balance),
    held: exactJsonNumber(held),
    available: exactJsonNumber(balance - held),
    created_at: row.created_at.toISOString(),
  };
}
