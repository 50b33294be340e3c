import { CreateAuthRevocation1795392100000 } from './migrations/1795392100000-create-auth-revocation.js';

/** For the DataSource: forward-only, after the money's own. */
export const AUTH_MIGRATIONS = [CreateAuthRevocation1795392100000];
