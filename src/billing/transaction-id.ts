/** A ledger row's id as clients see it. */
export function transactionId(entryId: string): string {
  return `txn_${entryId.replaceAll('-', '')}`;
}

export const TRANSACTION_ID = /^txn_[0-9a-f]{32}$/;

/** @param id  that matches `TRANSACTION_ID` */
export function entryIdOf(id: string): string {
  return id.slice('txn_'.length);
}
