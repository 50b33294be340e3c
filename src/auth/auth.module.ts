import { Module } from '@nestjs/common';
import { PassportModule } from '@nestjs/passport';
import { JwtAuthGuard } from './jwt-auth.guard.js';
import { JwtStrategy } from './jwt.strategy.js';
import { RevocationSync } from './revocation-sync.service.js';
import { RevokedTokens } from './revoked-tokens.js';
import { TokenKeys } from './token-keys.js';
import { TokensController } from './tokens.controller.js';

/** Who asks. `app.module.ts` puts the guard before everything else. */
@Module({
  imports: [PassportModule],
  controllers: [TokensController],
  providers: [TokenKeys, JwtStrategy, RevokedTokens, RevocationSync, JwtAuthGuard],
  exports: [JwtAuthGuard],
})
export class AuthModule {}
