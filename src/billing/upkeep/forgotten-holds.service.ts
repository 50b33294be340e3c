import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { MoneyDatabase } from '../money-database.js';
import type { SettlementRecord } from '../settle/settlement-record.js';
import { Settler } from '../settle/settler.service.js';
import { GatewayInstance } from './gateway-instance.service.js';
import { FIND_FORGOTTEN, RENEW_HOLDS } from './upkeep-statements.js';

/** The database's answer to a younger hold may still be on its way. */
const SPARE_MS = 30_000;

/**
 * Compares this process's open holds in the database with what it knows: those of running requests are renewed, those it
 * knows nothing of are given back. A hold is forgotten when the answer to its statement was lost, and the request refused.
 */
@Injectable()
export class ForgottenHolds {
  constructor(
    private readonly database: MoneyDatabase,
    private readonly settler: Settler,
    private readonly instance: GatewayInstance,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /**
   * @param holdingIds  requests that hold money here
   * @param aliveIds    those of them whose holds shall live on; the others expire, and a late settlement still finds them
   */
  async tend(holdingIds: readonly string[], aliveIds: readonly string[], spareMs = SPARE_MS): Promise<void> {
    const pendingIds = this.settler.pendingIds();
    const renewed = [...aliveIds, ...pendingIds];
    if (renewed.length > 0) await this.database.query(RENEW_HOLDS, [renewed, this.config.billing.holdTtlMs]);
    const known = [...holdingIds, ...pendingIds];
    const rows = await this.database.query<ForgottenRow>(FIND_FORGOTTEN, [this.instance.id, known, spareMs]);
    for (const row of rows) {
      const record = releaseOf(row, this.instance.id);
      this.settler.enqueue({ record });
    }
  }
}

interface ForgottenRow {
  id: string;
  user_id: string;
  request_id: string;
  model: string;
  stream: boolean;
}

function releaseOf(row: ForgottenRow, instanceId: string): SettlementRecord {
  return {
    ...row,
    targets: [],
    instance_id: instanceId,
    on_credit: false,
    bound: '0',
    release: true,
    unknown: false,
    cost: '0',
    chargeable: '0',
    outcome: 'forgotten',
    attempts: [],
    description: '',
  };
}
