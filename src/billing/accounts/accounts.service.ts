import type { NanoUsd } from '@app/money';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { Leases } from '../leases/leases.service.js';
import { MoneyDatabase } from '../money-database.js';
import { OPEN_ACCOUNTS, READ_ACCOUNT } from './account-statements.js';

/**
 * What an account has. `held` is reserved for requests in flight; `available` is the rest. Leased money that no request
 * holds counts as available, since it comes back when it is needed. What requests of other instances hold of leases is known
 * with some seconds' delay.
 */
export interface AccountBalance {
  readonly userId: string;
  readonly balanceNano: NanoUsd;
  readonly heldNano: NanoUsd;
  readonly availableNano: NanoUsd;
}

/** Opens accounts at first sight and reads them. */
@Injectable()
export class AccountsService {
  constructor(
    private readonly database: MoneyDatabase,
    private readonly leases: Leases,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** `undefined` when the user was never seen. */
  async find(userId: string): Promise<AccountBalance | undefined> {
    const [row] = await this.database.query<AccountRow>(READ_ACCOUNT, [userId, this.leases.instanceId]);
    return row && toBalance(row, this.leases.heldNano(userId));
  }

  /** Opens the account, with BILLING_DEFAULT_BALANCE, when the user is seen for the first time. */
  async require(userId: string): Promise<AccountBalance> {
    const known = await this.find(userId);
    if (known) return known;
    await this.open([userId]);
    const opened = await this.find(userId);
    if (!opened) throw new Error('an account that was just opened is not there');
    return opened;
  }

  async open(userIds: readonly string[]): Promise<void> {
    await this.database.query(OPEN_ACCOUNTS, [userIds, this.config.billing.defaultBalanceNanoUsd.toString()]);
  }
}

interface AccountRow {
  user_id: string;
  balance_nano: string;
  held_nano: string;
}

function toBalance(row: AccountRow, leasedNano: NanoUsd): AccountBalance {
  const balanceNano = BigInt(row.balance_nano);
  const heldNano = BigInt(row.held_nano) + leasedNano;
  return { userId: row.user_id, balanceNano, heldNano, availableNano: balanceNano - heldNano };
}
