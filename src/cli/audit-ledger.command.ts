import { UsageError, type Output } from './command.js';

export async function auditLedgerCommand(_args: readonly string[], _output: Output): Promise<number> {
  throw new UsageError('not wired yet');
}
