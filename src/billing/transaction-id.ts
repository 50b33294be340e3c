/** A ledger row's id as clients see it. */
export function transactionId(entryId: string): string {
  return `txn_${entryId.replaceAll('-', '')}`;
}
