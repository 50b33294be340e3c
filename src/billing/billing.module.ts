import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { DatabaseService } from '../database/database.service.js';
import { AccountsService } from './accounts/accounts.service.js';
import { AuditAlarms } from './audit/audit-alarms.service.js';
import { ScheduledAudit } from './audit/scheduled-audit.service.js';
import { BillingInterceptor } from './billing.interceptor.js';
import { BookingsService } from './bookings/bookings.service.js';
import { HoldsService } from './holds/holds.service.js';
import { AdminBillingController } from './http/admin-billing.controller.js';
import { AdminReportsController } from './http/admin-reports.controller.js';
import { BillingController } from './http/billing.controller.js';
import { EstimateController } from './http/estimate.controller.js';
import { LedgerAuditController } from './http/ledger-audit.controller.js';
import { AnswerPacker } from './idempotency/answer-packer.js';
import { IdempotencyClaims } from './idempotency/idempotency-claims.js';
import { UnknownCostsController } from './http/unknown-costs.controller.js';
import { IdempotencyService } from './idempotency/idempotency.service.js';
import { ResponseStore } from './idempotency/response-store.js';
import { BillingJournal } from './journal/billing-journal.service.js';
import { LeaseUpkeep } from './leases/lease-upkeep.service.js';
import { Leases } from './leases/leases.service.js';
import { MoneyDatabase } from './money-database.js';
import { OutageCredit } from './outage/outage-credit.service.js';
import { BILLING_ENTITIES } from './persistence.js';
import { PriceVersions } from './prices/price-versions.service.js';
import { EstimatorService } from './quote/estimator.service.js';
import { QuoterService } from './quote/quoter.service.js';
import { ReceiptsService } from './reports/receipts.service.js';
import { ReportsService } from './reports/reports.service.js';
import { BillingSessions } from './session/billing-sessions.service.js';
import { ChargeCalculator } from './session/charge-calculator.js';
import { HoldTaker } from './session/hold-taker.js';
import { SettlementRecords } from './session/settlement-records.js';
import { Settler } from './settle/settler.service.js';
import { UnknownCostsService } from './unknown-costs/unknown-costs.service.js';
import { BillingUpkeep } from './upkeep/billing-upkeep.service.js';
import { ForgottenHolds } from './upkeep/forgotten-holds.service.js';
import { GatewayInstance } from './upkeep/gateway-instance.service.js';
import { JournalRecovery } from './upkeep/journal-recovery.service.js';
import { Retention } from './upkeep/retention.service.js';

/** Money: see README.md for what it promises and how. */
@Module({
  imports: [TypeOrmModule.forFeature(BILLING_ENTITIES)],
  controllers: [
    BillingController,
    EstimateController,
    AdminBillingController,
    AdminReportsController,
    LedgerAuditController,
    UnknownCostsController,
  ],
  providers: [
    {
      provide: MoneyDatabase,
      inject: [DatabaseService, APP_CONFIG],
      useFactory: ({ prepared }: DatabaseService, { billing }: AppConfig) =>
        new MoneyDatabase(prepared, billing.enabled ? billing.currency : undefined),
    },
    GatewayInstance,
    Leases,
    LeaseUpkeep,
    AccountsService,
    BookingsService,
    PriceVersions,
    BillingJournal,
    Settler,
    HoldsService,
    OutageCredit,
    IdempotencyClaims,
    AnswerPacker,
    ResponseStore,
    IdempotencyService,
    HoldTaker,
    ChargeCalculator,
    SettlementRecords,
    BillingSessions,
    BillingInterceptor,
    QuoterService,
    EstimatorService,
    ReportsService,
    ReceiptsService,
    UnknownCostsService,
    JournalRecovery,
    ForgottenHolds,
    BillingUpkeep,
    Retention,
    AuditAlarms,
    ScheduledAudit,
  ],
  exports: [
    BillingInterceptor,
    BillingSessions,
    QuoterService,
    IdempotencyService,
    AccountsService,
    BillingJournal,
    Settler,
    OutageCredit,
    GatewayInstance,
  ],
})
export class BillingModule {}
