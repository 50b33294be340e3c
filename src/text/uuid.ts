/** The form of the ids that the gateway makes: of holds, ledger entries, instances. */
export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
