import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import helmet from 'helmet';
import { AppModule, GUARDS } from './app.module.js';
import { ChatCompletionsController, COMPLETION_PATHS } from './completions/chat-completions.controller.js';
import { APP_CONFIG, type AppConfig } from './config/app-config.js';
import { mountDocs } from './docs/mount-docs.js';
import { ExactRoutesAdapter, passesAll } from './edge/exact-routes.adapter.js';
import { GatewayErrorFilter } from './edge/gateway-error.filter.js';
import { guardedRoute, type PlainGuard } from './edge/guarded-route.js';
import { hostCheck } from './edge/host-check.js';
import { requestContext } from './edge/request-context.middleware.js';
import { apiSecurityHeaders, securityHeaders } from './edge/security-headers.js';
import { exitOnSignal } from './edge/shutdown.js';
import { guardServer } from './edge/unreadable-requests.js';
import { DrainState } from './health/drain-state.js';
import { CrashReports } from './telemetry/crash-reports.js';
import { accessLog } from './telemetry/logging/access-log.js';
import type { GatewayLogger } from './telemetry/logging/gateway-logger.js';
import { Telemetry } from './telemetry/telemetry.js';

const HEADERS_TIMEOUT_MS = 10_000;
/** For the request alone; answers have limits of their own. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than a load balancer keeps an idle connection (nginx and AWS: 60 s), so that it is never we who close first. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

/** Builds the app and listens. Resolves when it takes requests. */
export async function startServer(logger: GatewayLogger): Promise<NestExpressApplication> {
  // The body is read behind the guards (JsonBodyGuard), so Nest's own parser is off.
  const adapter = new ExactRoutesAdapter();
  const app = await NestFactory.create<NestExpressApplication>(AppModule, adapter, {
    bodyParser: false,
    logger,
    abortOnError: false, // whoever starts us says what is wrong
  });
  const config = app.get<AppConfig>(APP_CONFIG);
  app.get(CrashReports).install();
  prepareExpress(app, adapter, config);
  if (config.http.docsEnabled) await mountDocs(app, config);
  guardServer(app.getHttpServer());
  await app.listen(config.http.port, config.http.host);
  const server = app.getHttpServer();
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  exitOnSignal(app, config, logger);
  logger.log(`listening on http://${config.http.host}:${config.http.port}`);
  process.send?.({ kind: 'listening' });
  return app;
}

function prepareExpress(app: NestExpressApplication, adapter: ExactRoutesAdapter, config: AppConfig): void {
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', 'simple');
  app.set('trust proxy', config.http.trustProxyHops);
  const drain = app.get(DrainState);
  const first = [requestContext, accessLog(app.get(Telemetry))];
  const last: RequestHandler[] = [
    (_request, response, next) => {
      if (drain.draining) response.setHeader('Connection', 'close');
      next();
    },
    hostCheck(config.http.allowedHosts),
  ];
  const longWay = [...first, securityHeaders(helmet), ...last];
  // One middleware of several: a layer of Express costs more than most of what they do.
  app.use((request: Request, response: Response, next: NextFunction) => {
    if (passesAll(longWay, request, response)) next();
  });
  adapter.shorten(
    COMPLETION_PATHS,
    guardedRoute({
      guards: GUARDS.map((guard) => app.get<PlainGuard>(guard)),
      controller: app.get(ChatCompletionsController),
      method: 'create',
      filter: app.get(GatewayErrorFilter),
    }),
    [...first, ...last],
    apiSecurityHeaders(helmet).flat(),
  );
  if (config.http.corsOrigins.length > 0) app.enableCors(corsOptions(config));
}

const EXPOSED_HEADERS = [
  'x-request-id',
  'x-request-cost',
  'x-cache',
  'x-gateway-provider',
  'x-gateway-model',
  'x-gateway-attempts',
  'x-gateway-dropped-params',
  'x-idempotent-replay',
  'x-idempotent-request-id',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
  'x-ratelimit-limit-tokens',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-tokens',
  'x-ratelimit-mode',
  'ratelimit',
  'ratelimit-policy',
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
];

function corsOptions(config: AppConfig) {
  const { corsOrigins } = config.http;
  const anyOrigin = corsOrigins.includes('*');
  return {
    origin: anyOrigin ? '*' : [...corsOrigins],
    // Tokens travel in a header, never in a cookie: credentials are needed by no client.
    credentials: false,
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: 600,
  };
}
