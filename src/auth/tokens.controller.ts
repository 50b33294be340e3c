import { GatewayError } from '@app/contracts';
import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { ApiErrors } from '../docs/api-errors.decorator.js';
import { Context, type RequestContext, requirePrincipal } from '../edge/request-context.js';
import { Telemetry } from '../telemetry/telemetry.js';
import { AdminOnly } from './admin-only.decorator.js';
import { RevocationSync } from './revocation-sync.service.js';
import { RevokeTokenAnswer, RevokeTokenRequest } from './revoke-token.dto.js';

@ApiTags('admin')
@ApiBearerAuth('bearer')
@AdminOnly()
@Controller('admin/tokens')
export class TokensController {
  constructor(
    private readonly revocations: RevocationSync,
    private readonly telemetry: Telemetry,
  ) {}

  @Post('revoke')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Revoke one token, or all tokens issued to a user so far',
    description:
      'Takes effect here at once, and on every instance within two seconds. Tokens without `iat` count as issued earlier. ' +
      'If the issuer’s clock may be ahead, `leeway_seconds` covers the tokens it issued.',
  })
  @ApiOkResponse({ type: RevokeTokenAnswer })
  @ApiErrors(400, 401, 403, 413, 415, 429, 503)
  async revoke(
    @Body() body: RevokeTokenRequest,
    @Context() context: RequestContext,
  ): Promise<RevokeTokenAnswer> {
    const { kind, value } = subjectOf(body);
    const actor = requirePrincipal(context).userId;
    const revokedAt = await this.revocations.revoke({
      kind,
      value,
      actor,
      reason: body.reason,
      leewaySeconds: body.leeway_seconds ?? undefined,
    });
    this.telemetry.event({
      kind: 'admin-action',
      action: 'token-revoked',
      actor,
      subject: value,
      requestId: context.requestId,
      clientAddress: context.clientAddress,
      details: { kind, ...(body.reason !== undefined && { reason: body.reason }) },
    });
    return { kind, value, revoked_at: revokedAt.toISOString() };
  }
}

function subjectOf({ jti, sub }: RevokeTokenRequest): { kind: 'jti' | 'sub'; value: string } {
  if (jti !== undefined && sub === undefined) return { kind: 'jti', value: jti };
  if (sub !== undefined && jti === undefined) return { kind: 'sub', value: sub };
  throw new GatewayError('invalid_body', 'Give either `jti` or `sub`.', {
    param: jti === undefined ? 'jti' : 'sub',
  });
}
