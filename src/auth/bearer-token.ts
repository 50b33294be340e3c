import { GatewayError, type GatewayErrorCode } from '@app/contracts';

/** Room for a long allow-list and an identity provider's claims; more is an attack on the parser. */
const MAX_TOKEN_LENGTH = 8192;

const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** A refusal as RFC 6750 wants it: the header tells a client why, the body tells a human. */
export function refusal(
  code: Extract<GatewayErrorCode, 'missing_token' | 'invalid_token' | 'token_expired'>,
  message: string,
  cause?: unknown,
): GatewayError {
  const challenge =
    code === 'missing_token'
      ? 'Bearer realm="llm-gateway"'
      : 'Bearer realm="llm-gateway", error="invalid_token"';
  return new GatewayError(code, message, { headers: { 'WWW-Authenticate': challenge }, cause });
}

/**
 * The token of an `Authorization` header, the only place where one is looked for.
 *
 * @throws GatewayError  `missing_token`, or `invalid_token` for something that cannot be a JWT
 */
export function bearerToken(authorization: string | undefined): string {
  const [, token] = /^bearer +(.*)$/i.exec(authorization ?? '') ?? [];
  if (!token) {
    throw refusal('missing_token', 'A token is required. Send it as "Authorization: Bearer <token>".');
  }
  if (token.length > MAX_TOKEN_LENGTH || !COMPACT_JWS.test(token))
    throw refusal(
      'invalid_token',
      'This is not a token for this gateway. Send a JWT, not an API key of a provider.',
    );
  return token;
}
