import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { AppConfig } from '../config/app-config.js';
import { CHAT_SCHEMAS } from './chat-schemas.js';
import { spellNullAsType } from './nullable.js';

const DESCRIPTION = `One OpenAI-compatible API in front of every LLM provider, with exact prepaid billing.

Press **Authorize** and paste a token (\`npm run --silent token -- --user you\`). "Try it out" then sends real requests.

Every error, from every route, has the form \`{"error": {"message", "type", "param", "code"}}\`. Every answer has \`x-request-id\`.

In addition to what a route documents, a request can be refused before it gets there: 400 \`invalid_http_request\`, 403
\`host_not_allowed\`, 408 \`request_incomplete\`, 417 \`expectation_failed\`, 431 \`headers_too_large\`, 503 \`draining\`.

Streams are server-sent events: \`data: {chat.completion.chunk}\` lines, \`: ping\` comments while the provider is silent, and
\`data: [DONE]\` at the end of a successful stream. An error after the first chunk is an event
\`data: {"error": {...}}\` without \`[DONE]\`.`;

/** Routes that need no token (`@Public()`): no lock beside them. */
const OPEN_ROUTES = /^\/(health|ready|metrics)/;

/** Swagger UI at /docs, the OpenAPI 3.1 document at /docs-json. */
export async function mountDocs(app: NestExpressApplication, config: AppConfig): Promise<void> {
  SwaggerModule.setup('docs', app, () => openApiDocument(app, config), {
    jsonDocumentUrl: 'docs-json',
    yamlDocumentUrl: 'docs-yaml',
    customSiteTitle: 'LLM Gateway API',
    // The only way into Nest's page, which has none of these: a phone would show it as wide as a desk.
    customCss: '</style><meta name="viewport" content="width=device-width, initial-scale=1" /><style>',
    swaggerOptions: { persistAuthorization: true, displayRequestDuration: true, tryItOutEnabled: true },
  });
}

function openApiDocument(app: NestExpressApplication, config: AppConfig): OpenAPIObject {
  const base = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('LLM Gateway')
    .setDescription(DESCRIPTION)
    .setVersion(config.version)
    .setLicense('MIT', 'https://opensource.org/license/mit')
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }, 'bearer')
    .addSecurityRequirements('bearer')
    .addTag('completions', 'Chat completions')
    .addTag('models', 'The available models')
    .addTag('billing', 'Your own balance, transactions and usage')
    .addTag('admin', "All users' money and tokens; requires the claim role: admin")
    .addTag(
      'operations',
      'For operators, probes and Prometheus; no token needed, except for /admin/ops/summary',
    )
    .addTag(
      'openai',
      "The clients' routes once more; here, GET /models returns OpenAI's envelope to every client",
    )
    .build();
  const document = SwaggerModule.createDocument(app, base);
  document.components ??= {};
  document.components.schemas = { ...document.components.schemas, ...CHAT_SCHEMAS };
  for (const [path, item] of Object.entries(document.paths)) {
    if (OPEN_ROUTES.test(path) && item.get) item.get.security = [];
    for (const operation of [item.get, item.post]) {
      if (operation?.operationId) operation.operationId = operationIdOf(operation.operationId, path);
      // Beside its twin each of them would look like a choice to be made.
      if (operation && path.startsWith('/openai/')) operation.tags = ['openai'];
    }
  }
  spellNullAsType(document.paths);
  spellNullAsType(document.components.schemas);
  return document;
}

/**
 * `BillingController_balance[1]`, which Nest makes of a controller with two paths, -> `OpenAiBilling_balance`: generators of
 * clients make a function's name of it.
 */
function operationIdOf(nestId: string, path: string): string {
  const [, controller, method, index] = /^(\w+)Controller_(\w+?)(\[\d+\])?$/.exec(nestId) ?? [];
  if (controller === undefined) return nestId;
  const prefix = index !== undefined && path.startsWith('/openai/') ? 'OpenAi' : '';
  return `${prefix}${controller}_${method}`;
}
