/** The form of a `sub`. */
export const USER_ID = /^[A-Za-z0-9._:@|-]{1,128}$/;

/** Who asks and who pays: a verified token's claims, nothing else. */
export interface Principal {
  /** `sub`, see `USER_ID`. */
  readonly userId: string;
  readonly role: 'user' | 'admin';
  /** Models this token may use; `undefined` = all. */
  readonly models: readonly string[] | undefined;
  readonly tokenId: string | undefined;
  /** Unix seconds */
  readonly issuedAt: number | undefined;
  readonly expiresAt: number;
}
