import { Global, Logger, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { dataSourceOptions } from './data-source-options.js';
import { DATABASE_ENDPOINT, type DatabaseEndpoint, openDatabaseEndpoint } from './database-endpoint.js';
import { DatabaseHealth } from './database-health.js';
import { DatabaseService, shareConnections } from './database.service.js';

/** What the DataSource is made from; a module of its own because TypeOrmModule imports it. */
@Module({
  providers: [
    DatabaseHealth,
    {
      provide: DATABASE_ENDPOINT,
      inject: [APP_CONFIG],
      useFactory: (config: AppConfig) => {
        const logger = new Logger('Database');
        return openDatabaseEndpoint(config, (message) => logger.log(message));
      },
    },
  ],
  exports: [DatabaseHealth, DATABASE_ENDPOINT],
})
class DatabaseEndpointModule {}

/**
 * The database for everybody: `DatabaseService` (statements, readiness, migrations) and, below it, TypeORM's `DataSource`.
 * Being global, it is set up before and torn down after the modules that use it.
 */
@Global()
@Module({
  imports: [
    DatabaseEndpointModule,
    TypeOrmModule.forRootAsync({
      imports: [DatabaseEndpointModule],
      inject: [APP_CONFIG, DATABASE_ENDPOINT, DatabaseHealth],
      useFactory: (config: AppConfig, endpoint: DatabaseEndpoint, health: DatabaseHealth) => {
        const logger = new Logger('Database');
        return {
          ...dataSourceOptions({
            url: endpoint.url,
            poolSize: shareConnections(config.database.poolSize).dataSource,
            health,
            onIdleError: (error) => logger.warn(`a database connection was lost: ${error.message}`),
          }),
          // TypeOrmModule would wait for the database and give up: DatabaseService connects, and goes on trying
          manualInitialization: true,
        };
      },
    }),
  ],
  providers: [DatabaseService],
  exports: [DatabaseService, TypeOrmModule],
})
export class DatabaseModule {}
