import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsInt, IsOptional, IsString, Length, Matches, Max, Min } from 'class-validator';
import { LEEWAY_SECONDS } from './token-claims.js';

/** Exactly one of `jti` and `sub`. */
export class RevokeTokenRequest {
  @ApiPropertyOptional({
    example: '0190d3b6-7c52-7d2e-a6f0-2a8e5b1c9d10',
    description: 'One token, by its id.',
  })
  @IsOptional()
  @Matches(/^[\x21-\x7e]{1,256}$/, { message: 'jti must be the id of a token' })
  jti?: string;

  @ApiPropertyOptional({
    example: 'user_123',
    description:
      'Every token that this user was given until now. One of the next second works, or of `leeway_seconds` later.',
  })
  @IsOptional()
  @Matches(/^[A-Za-z0-9._:@|-]{1,128}$/, { message: 'sub must be a user id' })
  sub?: string;

  @ApiPropertyOptional({
    type: Number,
    default: 0,
    minimum: 0,
    maximum: LEEWAY_SECONDS,
    description:
      'With `sub`: by how much the clock of whoever signs may be ahead of the database’s. Its tokens seem to be issued ' +
      'so much later, and would outlive the revocation; a new one works after that time only.',
  })
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(LEEWAY_SECONDS)
  leeway_seconds?: number;

  @ApiPropertyOptional({ example: 'laptop lost', description: 'For the record.' })
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
    description: 'Tokens issued until then no longer work.',
  })
  revoked_at: string;
}
