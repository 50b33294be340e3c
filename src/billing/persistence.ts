import { Hold } from './entities/hold.entity.js';
import { CreateBilling1795392000000 } from './migrations/1795392000000-create-billing.js';
import { CreateLease1795996800000 } from './migrations/1795996800000-create-lease.js';
import { AddLeaseInUse1796083200000 } from './migrations/1796083200000-add-lease-in-use.js';
import { NumberUnknownCosts1796169600000 } from './migrations/1796169600000-number-unknown-costs.js';
import { ReconcileUnknownCosts1796256000000 } from './migrations/1796256000000-reconcile-unknown-costs.js';
import { SummariseLedgerByTime1796342400000 } from './migrations/1796342400000-summarise-ledger-by-time.js';
import { CountDaysOfLedger1796428800000 } from './migrations/1796428800000-count-days-of-ledger.js';

/** For the DataSource: what is read through TypeORM. */
export const BILLING_ENTITIES = [Hold];

/** For the DataSource: forward-only, reviewed SQL. */
export const BILLING_MIGRATIONS = [
  CreateBilling1795392000000,
  CreateLease1795996800000,
  AddLeaseInUse1796083200000,
  NumberUnknownCosts1796169600000,
  ReconcileUnknownCosts1796256000000,
  SummariseLedgerByTime1796342400000,
  CountDaysOfLedger1796428800000,
];
