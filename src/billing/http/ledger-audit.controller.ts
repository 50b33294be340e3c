import { Controller, Get, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { AdminOnly } from '../../auth/admin-only.decorator.js';
import { DatabaseService } from '../../database/database.service.js';
import { ApiAnswer } from '../../docs/api-answer.decorator.js';
import { ApiErrors } from '../../docs/api-errors.decorator.js';
import { AuditAlarms } from '../audit/audit-alarms.service.js';
import { type LedgerAudit, runLedgerAudit } from '../audit/ledger-audit.js';
import { AuditQuery, MOST_EXAMPLES } from './billing.dto.js';
import { AUDIT_EXAMPLE } from './billing.examples.js';

@ApiTags('admin')
@ApiBearerAuth('bearer')
@AdminOnly()
@Controller('admin/ledger')
export class LedgerAuditController {
  #last: Promise<unknown> = Promise.resolve();
  #waiting: Promise<LedgerAudit> | undefined;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly database: DatabaseService,
    private readonly alarms: AuditAlarms,
  ) {}

  @Get('audit')
  @ApiOperation({
    summary: 'Audit the ledger: every balance, hold and charge is recalculated',
    description:
      'Reads one snapshot of the whole ledger; on a very large one this takes minutes. Mismatches are also counted in the metrics.',
  })
  @ApiAnswer(AUDIT_EXAMPLE)
  @ApiErrors(400, 401, 403, 429, 503)
  async audit(@Query() { examples }: AuditQuery): Promise<LedgerAudit> {
    const audit = await this.#next();
    const shown = new Map<string, number>();
    const mismatches = audit.mismatches.filter(({ check }) => {
      const count = (shown.get(check) ?? 0) + 1;
      shown.set(check, count);
      return count <= examples;
    });
    return { ...audit, mismatches };
  }

  /**
   * One at a time: an audit of a large ledger takes minutes. All who ask while one runs share the next.
   */
  #next(): Promise<LedgerAudit> {
    if (!this.#waiting) {
      this.#waiting = this.#last.then(() => this.#run());
      this.#last = this.#waiting.catch(() => undefined);
    }
    return this.#waiting;
  }

  async #run(): Promise<LedgerAudit> {
    this.#waiting = undefined;
    const audit = await runLedgerAudit(this.dataSource, { examples: MOST_EXAMPLES }).catch(
      (error: unknown) => {
        throw this.database.toGatewayError(error);
      },
    );
    this.alarms.report(audit);
    return audit;
  }
}
