import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsInt, IsOptional, IsString, Length, Matches, Max, Min } from 'class-validator';
import { USER_ID } from './principal.js';
import { LEEWAY_SECONDS, TOKEN_ID } from './token-claims.js';

/** Exactly one of `jti` and `sub`. */
export class RevokeTokenRequest {
  @ApiPropertyOptional({
    example: '0190d3b6-7c52-7d2e-a6f0-2a8e5b1c9d10',
    description: 'Revokes one token, by its id.',
  })
  @IsOptional()
  @Matches(TOKEN_ID, { message: 'jti must be the id of a token' })
  jti?: string;

  @ApiPropertyOptional({
    example: 'user_123',
    description:
      'Revokes every token issued to this user so far. Tokens issued from the next second on work, or `leeway_seconds` later.',
  })
  @IsOptional()
  @Matches(USER_ID, { message: 'sub must be a user id' })
  sub?: string;

  @ApiPropertyOptional({
    type: Number,
    default: 0,
    minimum: 0,
    maximum: LEEWAY_SECONDS,
    description:
      'With `sub`: how far the issuer’s clock may be ahead of the database’s. Its tokens appear to be issued that much later ' +
      'and would outlive the revocation. A new token works only after that time.',
  })
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(LEEWAY_SECONDS)
  leeway_seconds?: number;

  @ApiPropertyOptional({ example: 'laptop lost', description: 'The reason, for the record.' })
  @IsOptional()
  @IsString()
  @Length(1, 500)
  reason?: string;
}

export class RevokeTokenAnswer {
  @ApiProperty({ enum: ['jti', 'sub'] }) kind: 'jti' | 'sub';
  @ApiProperty({ example: 'user_123' }) value: string;
  @ApiProperty({
    example: '2026-11-23T12:00:00.000Z',
    description: 'Tokens issued up to this time no longer work.',
  })
  revoked_at: string;
}
