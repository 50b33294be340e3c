import { Global, Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { APP_CONFIG, type AppConfig } from '../../src/config/app-config.js';
import { Secret } from '../../src/config/secret.js';
import { DatabaseModule } from '../../src/database/database.module.js';

/** The database module as the gateway has it, on the database of this URL. */
export function startDatabaseApp(
  url: string,
  settings: Partial<AppConfig['database']>,
): Promise<INestApplicationContext> {
  const database = { migrateOnBoot: true, preparedStatements: 'auto', ...settings, url: new Secret(url) };
  const config = { dataDir: '/nowhere', database };
  @Global()
  @Module({ providers: [{ provide: APP_CONFIG, useValue: config }], exports: [APP_CONFIG] })
  class Config {}
  @Module({ imports: [Config, DatabaseModule] })
  class App {}
  return NestFactory.createApplicationContext(App, { logger: false });
}
