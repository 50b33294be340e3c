import { Controller, Get, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { AdminOnly } from '../../auth/admin-only.decorator.js';
import { toGatewayError } from '../../database/connection-error.js';
import { ApiAnswer } from '../../docs/api-answer.decorator.js';
import { ApiErrors } from '../../docs/api-errors.decorator.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { type LedgerAudit, reportAudit, runLedgerAudit } from '../audit/ledger-audit.js';
import { AuditQuery } from './billing.dto.js';
import { AUDIT_EXAMPLE } from './billing.examples.js';

@ApiTags('admin')
@ApiBearerAuth('bearer')
@AdminOnly()
@Controller('admin/ledger')
export class LedgerAuditController {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly telemetry: Telemetry,
  ) {}

  @Get('audit')
  @ApiOperation({
    summary: 'Does the money add up? Every balance, hold and charge worked out again',
    description:
      'Reads one snapshot of the whole ledger: seconds on a large one. Mismatches are also counted in the metrics.',
  })
  @ApiAnswer(AUDIT_EXAMPLE)
  @ApiErrors(400, 401, 403, 429, 503)
  async audit(@Query() { examples }: AuditQuery): Promise<LedgerAudit> {
    const audit = await runLedgerAudit(this.dataSource, { examples }).catch((error: unknown) => {
      throw toGatewayError(error);
    });
    reportAudit(this.telemetry, audit);
    return audit;
  }
}
