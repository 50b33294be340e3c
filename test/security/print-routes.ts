/**
 * Starts the built program and prints, as one line of JSON, every route that its router really has: what is in the
 * OpenAPI document and what is not. Run by a test, with the environment of a gateway.
 */
interface Layer {
  readonly name: string;
  readonly route?: { readonly path: string; readonly methods: Readonly<Record<string, boolean>> };
}

interface App {
  getHttpAdapter(): { getInstance(): { router: { stack: Layer[] } } };
}

/** Nest's own lines would stand before the one that is read. */
const SILENT = Object.fromEntries(
  ['log', 'error', 'warn', 'debug', 'verbose', 'fatal'].map((level) => [level, () => undefined]),
);

const server = new URL('../../dist/src/server.js', import.meta.url).href;
const { startServer } = (await import(server)) as { startServer: (logger: object) => Promise<App> };
const app = await startServer(SILENT);
const { stack } = app.getHttpAdapter().getInstance().router;
const routes = stack.flatMap(({ route }) =>
  Object.keys(route?.methods ?? {}).map((method) => ({
    method: method.toUpperCase(),
    path: String(route?.path),
  })),
);
const middleware = stack.filter(({ route }) => !route).map(({ name }) => name);
process.stdout.write(`${JSON.stringify({ routes, middleware })}\n`, () => process.exit(0));
