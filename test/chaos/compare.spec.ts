import { describe, expect, it } from 'vitest';
import type { Order } from './administrator.ts';
import type { AccountRow, Books, ChargeRow, CreditRow } from './books.ts';
import type { Acknowledgement, Operation } from './clients.ts';
import { compare, type Disagreements } from './compare.ts';
import type { ShortfallRow } from './shortfalls.ts';

/** 10 × 1000 + 5 × 2000 nano. */
const USAGE = { prompt_tokens: 10, completion_tokens: 5 };
const DUE = '20000';

const call = (change: Partial<Acknowledgement> = {}): Acknowledgement => ({
  status: 200,
  complete: true,
  code: undefined,
  message: '',
  mayRetry: true,
  model: 'chaos-a',
  cost: '0.00002',
  replay: false,
  usage: USAGE,
  left: false,
  refused: false,
  digest: 'a',
  requestId: 'r1',
  port: 1,
  startedAtMs: 0,
  isCheck: false,
  ...change,
});

const operation = (calls: Acknowledgement[], change: Partial<Operation> = {}): Operation => ({
  id: 'op1',
  user: 'ample-1',
  scarce: false,
  key: undefined,
  stream: false,
  content: '',
  maxTokens: undefined,
  calls,
  ...change,
});

const charge = (change: Partial<ChargeRow> = {}): ChargeRow => ({
  id: 'h1',
  request_id: 'r1',
  user_id: 'ample-1',
  charged: DUE,
  shortfall: '0',
  ceiling: '100000',
  on_credit: false,
  upstream_model: 'chaos-a',
  usage_source: 'provider',
  ...change,
});

const credit = (change: Partial<CreditRow> = {}): CreditRow => ({
  id: 't1',
  kind: 'topup',
  user_id: 'ample-1',
  amount: '5000000000',
  subject: 'key-1',
  ...change,
});

const order = (change: Partial<Order> = {}): Order => ({
  kind: 'topup',
  user: 'ample-1',
  subject: 'key-1',
  amount: '5',
  answers: [{ id: 't1', amount: '5' }],
  ...change,
});

const refund = (change: Partial<CreditRow> = {}): CreditRow =>
  credit({ id: 'f1', kind: 'refund', amount: DUE, subject: 'r1', ...change });

const refundOrder = (change: Partial<Order> = {}): Order =>
  order({
    kind: 'refund',
    subject: 'r1',
    amount: undefined,
    answers: [{ id: 'f1', amount: '0.00002' }],
    ...change,
  });

/** Of a request on credit whose user had nothing free any more. */
const short = (change: Partial<ShortfallRow> = {}): ShortfallRow => ({
  hold_id: 'h1',
  request_id: 'r1',
  user_id: 'ample-1',
  shortfall: DUE,
  charged: '0',
  ceiling: '100000',
  on_credit: true,
  written_off: false,
  free: '0',
  held: '0',
  leased: '0',
  ...change,
});

interface History {
  readonly operations?: readonly Operation[];
  readonly orders?: readonly Order[];
  readonly charges?: readonly ChargeRow[];
  readonly credits?: readonly CreditRow[];
  readonly accounts?: readonly AccountRow[];
  readonly keysChargedTwice?: readonly string[];
  readonly shortfalls?: readonly ShortfallRow[];
}

/** The names of what is found. */
function findingsOf(history: History): (keyof Disagreements)[] {
  const books: Books = {
    charges: history.charges ?? [],
    accounts: history.accounts ?? [],
    credits: history.credits ?? [],
    keysChargedTwice: history.keysChargedTwice ?? [],
    shortfalls: history.shortfalls ?? [],
    holds: {
      open: 0,
      released: 0,
      orphaned: 0,
      expired: 0,
      written_off: 0,
      on_credit: 0,
      leased: 0,
      shortfall: '0',
      unknown_cost: 0,
    },
  };
  const { disagreements } = compare(history.operations ?? [], history.orders ?? [], books);
  return (Object.keys(disagreements) as (keyof Disagreements)[]).filter(
    (name) => disagreements[name].length > 0,
  );
}

const cut = { complete: false, code: 'provider_bad_response', usage: undefined, digest: undefined } as const;
const refusal = { ...cut, status: 402, code: 'insufficient_balance' } as const;
const keyed = { key: 'k' };

describe('compare', () => {
  it.each<[string, History]>([
    ['an answer and its charge', { operations: [operation([call()])], charges: [charge()] }],
    ['a shortfall of who had nothing free', { shortfalls: [short()] }],
    ['one above the ceiling', { shortfalls: [short({ charged: '100000', free: '1', on_credit: false })] }],
    [
      'one of a key that another attempt paid',
      { shortfalls: [short({ written_off: true, on_credit: false })] },
    ],
    ['a failure that cost nothing', { operations: [operation([call(cut)])] }],
    [
      'a failure whose retry with the same key was charged',
      {
        operations: [operation([call(cut), call({ requestId: 'r2' })], keyed)],
        charges: [charge({ request_id: 'r2' })],
      },
    ],
    [
      'a client that left, charged',
      { operations: [operation([call({ ...cut, left: true })])], charges: [charge()] },
    ],
    [
      'a replay',
      {
        operations: [operation([call(), call({ requestId: 'r2', replay: true })], keyed)],
        charges: [charge()],
      },
    ],
    [
      'a check that was answered in the end',
      {
        operations: [
          operation(
            [
              call(),
              call({ ...cut, requestId: 'r2', status: 503, isCheck: true }),
              call({ requestId: 'r3', isCheck: true }),
            ],
            keyed,
          ),
        ],
        charges: [charge()],
      },
    ],
    [
      'what nobody paid while the database was away',
      {
        operations: [operation([call()])],
        charges: [charge({ charged: '0', shortfall: DUE, on_credit: true })],
      },
    ],
    [
      'a top-up, answered twice',
      {
        orders: [
          order({
            answers: [
              { id: 't1', amount: '5' },
              { id: 't1', amount: '5.0' },
            ],
          }),
        ],
        credits: [credit()],
      },
    ],
    ['a refund', { orders: [refundOrder()], charges: [charge()], credits: [refund()] }],
    [
      'a refund that nobody was told of',
      {
        orders: [refundOrder({ answers: [] })],
        charges: [charge()],
        credits: [refund()],
      },
    ],
    ['a first credit', { credits: [credit({ kind: 'grant', subject: null })] }],
  ])('finds nothing in %s', (_what, history) => {
    expect(findingsOf(history)).toEqual([]);
  });

  it.each<[string, History, keyof Disagreements]>([
    ['an answer without a charge', { operations: [operation([call()])] }, 'lost'],
    [
      'an answer with two',
      { operations: [operation([call()])], charges: [charge(), charge({ id: 'h2' })] },
      'doubled',
    ],
    [
      'a retry that was charged again',
      {
        operations: [operation([call(cut), call({ requestId: 'r2' })], keyed)],
        charges: [charge(), charge({ id: 'h2', request_id: 'r2' })],
      },
      'doubled',
    ],
    ['a key with two charged holds', { keysChargedTwice: ['k'] }, 'doubled'],
    [
      'one nano too much',
      { operations: [operation([call()])], charges: [charge({ charged: '20001' })] },
      'wrongAmount',
    ],
    [
      "the other model's price",
      { operations: [operation([call()])], charges: [charge({ upstream_model: 'chaos-b' })] },
      'wrongAmount',
    ],
    [
      'another cost in the header',
      { operations: [operation([call({ cost: '0.00003' })])], charges: [charge()] },
      'wrongAmount',
    ],
    [
      'a shortfall although the money was held',
      { operations: [operation([call()])], charges: [charge({ charged: '19999', shortfall: '1' })] },
      'wrongAmount',
    ],
    ['more than 1.10 × what was held', { charges: [charge({ ceiling: '19999' })] }, 'wrongAmount'],
    [
      'a cut stream that was charged',
      { operations: [operation([call(cut)])], charges: [charge()] },
      'chargedFailures',
    ],
    ['a top-up that was not booked', { orders: [order()] }, 'wrongBookings'],
    ['a top-up that nobody answered', { orders: [order({ answers: [] })] }, 'wrongBookings'],
    [
      'a top-up booked twice',
      { orders: [order()], credits: [credit(), credit({ id: 't2' })] },
      'wrongBookings',
    ],
    [
      'a top-up of another amount',
      { orders: [order()], credits: [credit({ amount: '1' })] },
      'wrongBookings',
    ],
    ['money that nobody ordered', { credits: [credit()] }, 'wrongBookings'],
    [
      'a refund booked twice',
      { orders: [refundOrder()], charges: [charge()], credits: [refund(), refund({ id: 'f2' })] },
      'wrongBookings',
    ],
    ['a refund that is gone', { orders: [refundOrder()], charges: [charge()] }, 'wrongBookings'],
    [
      'a second first credit',
      {
        credits: [1, 2].map((id) => credit({ id: `g${id}`, kind: 'grant', subject: null })),
      },
      'wrongBookings',
    ],
    ['a balance below zero', { accounts: [{ user_id: 'a', balance: '-1', held: '0' }] }, 'negative'],
    ['more held than there is', { accounts: [{ user_id: 'a', balance: '1', held: '2' }] }, 'negative'],
    ['a 401', { operations: [operation([call({ ...cut, status: 401 })])] }, 'falseRefusals'],
    ['a 402 to who has plenty', { operations: [operation([call(refusal)])] }, 'falseRefusals'],
    [
      'a 402 to who has still enough',
      {
        operations: [operation([call({ ...refusal, message: 'required 0.00002' })], { scarce: true })],
        accounts: [{ user_id: 'ample-1', balance: DUE, held: '0' }],
      },
      'falseRefusals',
    ],
    [
      'a check without an answer',
      {
        operations: [
          operation([call(), call({ ...cut, requestId: 'r2', status: 503, isCheck: true })], keyed),
        ],
        charges: [charge()],
      },
      'answersLost',
    ],
    [
      'a key that is spent',
      {
        operations: [operation([call({ ...cut, status: 409, mayRetry: false })], keyed)],
        charges: [charge()],
      },
      'answersLost',
    ],
    [
      'two answers to one key',
      {
        operations: [operation([call(), call({ requestId: 'r2', replay: true, digest: 'b' })], keyed)],
        charges: [charge()],
      },
      'answersDiffer',
    ],
    ['a shortfall with money left', { shortfalls: [short({ free: '1' })] }, 'unexplainedShortfalls'],
    ['one of money that was held', { shortfalls: [short({ on_credit: false })] }, 'unexplainedShortfalls'],
    ['one that nobody saw', { shortfalls: [short({ free: null })] }, 'unexplainedShortfalls'],
  ])('notices %s', (_what, history, finding) => {
    expect(findingsOf(history)).toEqual([finding]);
  });
});
