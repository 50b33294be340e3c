import { exactJsonNumber, type ExactJsonNumber } from '@app/money';
import type { AccountBalance } from '../accounts/accounts.service.js';

export interface BalanceView {
  readonly user_id: string;
  readonly balance: ExactJsonNumber;
  readonly currency: string;
  readonly held: ExactJsonNumber;
  readonly available: ExactJsonNumber;
}

export function toBalanceView(account: AccountBalance, currency: string): BalanceView {
  return {
    user_id: account.userId,
    balance: exactJsonNumber(account.balanceNano),
    currency,
    held: exactJsonNumber(account.heldNano),
    available: exactJsonNumber(account.availableNano),
  };
}
