/** Who asks and who pays: a verified token's claims, nothing else. */
export interface Principal {
  /** `sub`: 1–128 characters of `[A-Za-z0-9._:@|-]`. */
  readonly userId: string;
  readonly role: 'user' | 'admin';
  /** Models this token may use; `undefined` = all. */
  readonly models: readonly string[] | undefined;
  readonly tokenId: string | undefined;
  /** Unix seconds */
  readonly issuedAt: number | undefined;
  readonly expiresAt: number;
}
