import type { Booked, Order } from './administrator.ts';
import type { Books, ChargeRow, CreditRow } from './books.ts';
import type { Acknowledgement, Operation } from './clients.ts';
import { shortfallFault } from './shortfalls.ts';

/** Nano-units a token, by upstream model: input, output. The same as in the gateways' file (rig.ts). */
export const PRICES: Readonly<Record<string, readonly [bigint, bigint]>> = {
  'chaos-a': [1000n, 2000n],
  'chaos-b': [1500n, 3000n],
};

/** Where the books and the clients' memory do not agree. Every list must be empty. */
export interface Disagreements {
  /** Seen complete by the client, and nobody was charged. */
  readonly lost: string[];
  /** One wish, two charges. */
  readonly doubled: string[];
  readonly wrongAmount: string[];
  /** Money that nobody paid although its user had it, or it had been held. */
  readonly unexplainedShortfalls: string[];
  /** Charged for a failure that the client was there to be told. */
  readonly chargedFailures: string[];
  /** A top-up, refund or first credit that is not there once, with its amount. */
  readonly wrongBookings: string[];
  readonly negative: string[];
  /** 401, 403, or 402 to somebody who had the money. */
  readonly falseRefusals: string[];
  /** A key was charged, and a retry does not get its answer. */
  readonly answersLost: string[];
  /** Callers with the same key got different answers. */
  readonly answersDiffer: string[];
}

export interface Tally {
  /** Calls whose good end a client saw, first answers and replays. */
  acknowledged: number;
  replays: number;
  calls: number;
  operations: number;
  /** Operations without a good end: out of money, or out of patience. */
  unanswered: number;
  emptyAccounts: number;
  reserved: number;
  unavailable: number;
  internalErrors: number;
  /** Charged keys that were asked once more when all was over. */
  askedAgain: number;
  /** Requests that their users did not pay in full, */
  short: number;
  /** and what was held by requests, and what was reserved ahead, of what those users had at that moment: nano-units, all added up. */
  shortBesideHeld: bigint;
  shortBesideLeased: bigint;
  /** Top-ups and refunds that were answered. */
  bookings: number;
}

/** Holds what every client was told against what the ledger says. */
export function compare(
  operations: readonly Operation[],
  orders: readonly Order[],
  books: Books,
): { disagreements: Disagreements; tally: Tally } {
  const rows = groupByRequest(books.charges);
  const balances = new Map(books.accounts.map((row) => [row.user_id, BigInt(row.balance)]));
  const found: Disagreements = {
    lost: [],
    doubled: books.keysChargedTwice.map((key) => `key ${key}: two charged holds`),
    wrongAmount: books.charges
      .filter(isAboveCeiling)
      .map((row) => `above its ceiling: ${JSON.stringify(row)}`),
    unexplainedShortfalls: books.shortfalls.flatMap((row) => shortfallFault(row) ?? []),
    chargedFailures: [],
    wrongBookings: bookingFaults(orders, books.credits, rows),
    negative: books.accounts.filter(isImpossible).map((row) => JSON.stringify(row)),
    falseRefusals: [],
    answersLost: [],
    answersDiffer: [],
  };
  const tally = emptyTally();
  tally.short = books.shortfalls.length;
  for (const { held, leased } of books.shortfalls) {
    tally.shortBesideHeld += BigInt(held ?? 0);
    tally.shortBesideLeased += BigInt(leased ?? 0);
  }
  tally.bookings = orders.filter(({ answers }) => answers.length > 0).length;
  for (const operation of operations) {
    count(operation, tally);
    checkRefusals(operation, balances, found);
    if (operation.key === undefined) {
      for (const call of operation.calls) checkCharge([call], operation, rows, found);
    } else {
      checkCharge(operation.calls, operation, rows, found);
      checkAnswers(operation, found);
    }
  }
  return { disagreements: found, tally };
}

function checkCharge(
  calls: readonly Acknowledgement[],
  operation: Operation,
  rows: ReadonlyMap<string, ChargeRow[]>,
  found: Disagreements,
): void {
  const charges = calls.flatMap((call) => rows.get(call.requestId) ?? []);
  const acknowledged = calls.filter((call) => call.complete);
  const what = `${operation.id} of ${operation.user}${operation.key === undefined ? '' : ' (key)'}`;
  if (charges.length > 1) found.doubled.push(`${what}: ${charges.length} charges`);
  if (acknowledged.length > 0 && charges.length === 0)
    found.lost.push(`${what}: ${acknowledged[0]?.requestId}`);
  const [charge] = charges;
  if (!charge) return;
  for (const call of acknowledged) {
    const fault = amountFault(charge, call);
    if (fault !== undefined) found.wrongAmount.push(`${what}: ${fault}`);
  }
  if (operation.key === undefined && calls.some(wasToldOfFailure) && isAboveZero(charge))
    found.chargedFailures.push(`${what}: ${calls[0]?.code}, charged ${charge.charged}`);
}

function checkAnswers(operation: Operation, found: Disagreements): void {
  const answers = new Set(operation.calls.filter((call) => call.complete).map((call) => call.digest));
  if (answers.size > 1) found.answersDiffer.push(`${operation.id}: ${answers.size} answers`);
  const lastCheck = operation.calls.findLast((call) => call.isCheck);
  const lost = operation.calls.find(isSpent) ?? (lastCheck?.complete === false ? lastCheck : undefined);
  if (lost) found.answersLost.push(`${operation.id}: ${lost.status} ${lost.code} ${lost.message}`);
}

/** "Was charged, ask with a new key". */
function isSpent(call: Acknowledgement): boolean {
  return call.status === 409 && !call.mayRetry;
}

/** Not its client's slowness, which costs what was sent. */
function wasToldOfFailure({ code, complete, left }: Acknowledgement): boolean {
  return code !== undefined && code !== 'request_timeout' && !complete && !left;
}

function isAboveZero({ charged, shortfall }: ChargeRow): boolean {
  return BigInt(charged) + BigInt(shortfall) > 0n;
}

function isAboveCeiling({ charged, ceiling }: ChargeRow): boolean {
  return ceiling !== null && BigInt(charged) > BigInt(ceiling);
}

function bookingFaults(
  orders: readonly Order[],
  credits: readonly CreditRow[],
  charges: ReadonlyMap<string, ChargeRow[]>,
): string[] {
  const faults: string[] = [];
  const ordered = new Map(orders.map((order) => [nameOf(order.kind, order.user, order.subject), order]));
  const groups = Map.groupBy(credits, ({ kind, user_id, subject }) => nameOf(kind, user_id, subject));
  for (const [name, order] of ordered) {
    const rows = groups.get(name) ?? [];
    const charged = charges.get(order.subject)?.[0]?.charged ?? '0';
    const due = order.amount === undefined ? BigInt(charged) : toNano(order.amount);
    const isOther = ({ id, amount }: Booked): boolean => id !== rows[0]?.id || toNano(amount) !== due;
    if (order.answers.some(isOther) || (order.kind === 'topup' && rows.length === 0))
      faults.push(`${name}: not as it was answered`);
    if (rows.some((row) => BigInt(row.amount) !== due))
      faults.push(`${name}: due ${due}, ${JSON.stringify(rows)}`);
  }
  for (const [name, rows] of groups) {
    if (rows.length > 1) faults.push(`${name}: booked ${rows.length} times`);
    if (rows[0]?.kind !== 'grant' && !ordered.has(name)) faults.push(`${name}: nobody ordered it`);
  }
  return faults;
}

function nameOf(kind: string, user: string, subject: string | null): string {
  return `${kind} ${subject ?? ''} of ${user}`;
}

/** The operations whose key was charged. */
export function chargedKeys(operations: readonly Operation[], books: Books): readonly Operation[] {
  const rows = groupByRequest(books.charges);
  return operations.filter(
    ({ key, calls }) => key !== undefined && calls.some((call) => rows.has(call.requestId)),
  );
}

/** The price of what the client got, computed from what it was told it used. */
function amountFault(charge: ChargeRow, call: Acknowledgement): string | undefined {
  const price = PRICES[charge.upstream_model];
  if (!price) return `charged for ${charge.upstream_model}`;
  if (call.model !== undefined && call.model !== charge.upstream_model)
    return `answered by ${call.model}, charged for ${charge.upstream_model}`;
  if (!call.usage) return 'a complete answer without usage';
  const due = BigInt(call.usage.prompt_tokens) * price[0] + BigInt(call.usage.completion_tokens) * price[1];
  const charged = BigInt(charge.charged);
  const shortfall = BigInt(charge.shortfall);
  if (charged + shortfall !== due) return `due ${due}, charged ${charged}, shortfall ${shortfall}`;
  if (shortfall > 0n && !charge.on_credit)
    return `due ${due}, charged ${charged} although the money had been held`;
  if (call.cost !== undefined && toNano(call.cost) !== due) return `due ${due}, told ${call.cost}`;
  return undefined;
}

function checkRefusals(
  operation: Operation,
  balances: ReadonlyMap<string, bigint>,
  found: Disagreements,
): void {
  for (const call of operation.calls) {
    const what = `${operation.id} of ${operation.user}: ${call.status} ${call.code} ${call.message}`;
    if (call.status === 401 || call.status === 403) found.falseRefusals.push(what);
    if (call.status !== 402) continue;
    if (!operation.scarce) found.falseRefusals.push(what);
    // Balances only fall here: who has it now had it then.
    else if (call.code === 'insufficient_balance' && hasStill(operation, call, balances))
      found.falseRefusals.push(what);
  }
}

function hasStill(
  operation: Operation,
  call: Acknowledgement,
  balances: ReadonlyMap<string, bigint>,
): boolean {
  const required = /required ([\d.]+)/.exec(call.message)?.[1];
  const balance = balances.get(operation.user);
  return required !== undefined && balance !== undefined && balance >= toNano(required);
}

function isImpossible(row: { balance: string; held: string }): boolean {
  return BigInt(row.balance) < 0n || BigInt(row.held) < 0n || BigInt(row.held) > BigInt(row.balance);
}

function count(operation: Operation, tally: Tally): void {
  tally.operations += 1;
  if (!operation.calls.some((call) => call.complete)) tally.unanswered += 1;
  for (const call of operation.calls) {
    if (call.isCheck) {
      tally.askedAgain += 1;
      continue;
    }
    tally.calls += 1;
    if (call.complete) tally.acknowledged += 1;
    if (call.complete && call.replay) tally.replays += 1;
    if (call.code === 'insufficient_balance') tally.emptyAccounts += 1;
    if (call.code === 'balance_reserved') tally.reserved += 1;
    if (call.status === 503) tally.unavailable += 1;
    if (call.status === 500) tally.internalErrors += 1;
  }
}

function groupByRequest(charges: readonly ChargeRow[]): Map<string, ChargeRow[]> {
  const groups = new Map<string, ChargeRow[]>();
  for (const charge of charges) {
    groups.set(charge.request_id, [...(groups.get(charge.request_id) ?? []), charge]);
  }
  return groups;
}

/** Decimal text -> nano-units, exactly. */
function toNano(text: string): bigint {
  const [whole = '0', fraction = ''] = text.split('.');
  return BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
}

function emptyTally(): Tally {
  return {
    acknowledged: 0,
    replays: 0,
    calls: 0,
    operations: 0,
    unanswered: 0,
    emptyAccounts: 0,
    reserved: 0,
    unavailable: 0,
    internalErrors: 0,
    askedAgain: 0,
    short: 0,
    shortBesideHeld: 0n,
    shortBesideLeased: 0n,
    bookings: 0,
  };
}
