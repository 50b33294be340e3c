import { DataSource } from 'typeorm';
import { type LedgerAudit, runLedgerAudit } from '../billing/audit/ledger-audit.js';
import { loadConfiguration } from '../config/load-configuration.js';
import { sayingWhere } from '../database/check-database.js';
import { dataSourceOptions } from '../database/data-source-options.js';
import { openDatabaseEndpoint } from '../database/database-endpoint.js';
import { DatabaseHealth } from '../database/database-health.js';
import { initialiseDataSource } from '../database/migrations.js';
import type { Output } from './command.js';

/** Proves that the books balance, while traffic goes on. Exit code 1 when they do not. */
export async function auditLedgerCommand(_args: readonly string[], output: Output): Promise<number> {
  const { config } = loadConfiguration(undefined, { createSecret: false, writesLogs: false });
  const endpoint = await openDatabaseEndpoint(config, output.err);
  try {
    const audit = await sayingWhere(endpoint.url, () => auditAt(endpoint.url));
    for (const line of report(audit)) output.out(line);
    for (const { check, subject, detail } of audit.mismatches) output.err(`${check}: ${subject}: ${detail}`);
    return audit.ok ? 0 : 1;
  } finally {
    await endpoint.release();
  }
}

async function auditAt(url: string): Promise<LedgerAudit> {
  const dataSource = new DataSource(dataSourceOptions({ url, poolSize: 1, health: new DatabaseHealth() }));
  await initialiseDataSource(dataSource);
  try {
    return await runLedgerAudit(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

function report({ ok, checked, checks }: LedgerAudit): string[] {
  return [
    `checked: ${Object.entries(checked)
      .map(([what, count]) => `${count} ${what.replaceAll('_', ' ')}`)
      .join(', ')}`,
    ...Object.entries(checks).map(
      ([check, mismatches]) =>
        `${mismatches === 0 ? 'ok  ' : 'FAIL'}  ${check}${mismatches === 0 ? '' : `: ${mismatches}`}`,
    ),
    ok ? 'the books balance' : 'the books do not balance',
  ];
}
