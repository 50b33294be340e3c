import { GatewayError } from '@app/contracts';
import { formatNano, type NanoUsd } from '@app/money';
import type { AccountBalance } from '../accounts/accounts.service.js';

const RESERVED_RETRY_AFTER_MS = 1000;

export type AccountMoney = Pick<AccountBalance, 'balanceNano' | 'heldNano'>;

export function freeOf({ balanceNano, heldNano }: AccountMoney): NanoUsd {
  return balanceNano - heldNano;
}

/** 402: the account does not have it, whatever is in flight. Retrying is no use, and the SDKs are told so. */
export function insufficientBalance(needNano: NanoUsd, account: AccountMoney): GatewayError {
  return new GatewayError(
    'insufficient_balance',
    `The balance does not cover this request: ${describe(needNano, account)}. ` +
      'Top up, or ask for fewer output tokens.',
    { headers: { 'x-should-retry': 'false' } },
  );
}

/** 402: the account has it, but requests in flight hold it. They give back what they do not use. */
export function balanceReserved(needNano: NanoUsd, account: AccountMoney): GatewayError {
  return new GatewayError(
    'balance_reserved',
    `The balance that this request needs is held by requests in flight: ${describe(needNano, account)}. ` +
      'Try again when they have finished.',
    { retryAfterMs: RESERVED_RETRY_AFTER_MS },
  );
}

export function keyTaken(): GatewayError {
  return new GatewayError(
    'idempotency_conflict',
    'A request with this Idempotency-Key is in flight or was already charged.',
    { retryAfterMs: RESERVED_RETRY_AFTER_MS },
  );
}

function describe(needNano: NanoUsd, account: AccountMoney): string {
  const available = formatNano(freeOf(account));
  return `required ${formatNano(needNano)}, available ${available}, held ${formatNano(account.heldNano)}`;
}
