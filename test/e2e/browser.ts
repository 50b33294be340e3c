import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';

/** Nothing beside the page: a browser's first start has much to do and to fetch. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-extensions',
  '--disable-sync',
];

/** @returns the path of a Chromium on PATH, or `undefined` */
export function findChromium(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return ['chromium', 'chromium-browser', 'google-chrome']
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => existsSync(path));
}

/**
 * Opens a page in a headless browser of its own and evaluates an expression there, over the DevTools protocol.
 *
 * @returns the expression's value, awaited
 * @throws Error  with the page's own error, or when there is no Chromium
 */
export async function runInPage(url: string, expression: string): Promise<unknown> {
  const chromium = findChromium();
  if (chromium === undefined) throw new Error('no chromium on PATH');
  const folder = mkdtempSync(join(tmpdir(), 'llm-gateway-test-browser-'));
  const browser = spawn(chromium, [...FLAGS, '--remote-debugging-port=0', `--user-data-dir=${folder}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const gone = new Promise<void>((resolve) => browser.once('close', () => resolve()));
  try {
    const devTools = await DevTools.connect(await addressOf(browser.stderr));
    const { targetId } = await devTools.call('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await devTools.call('Target.attachToTarget', { targetId, flatten: true });
    await devTools.call('Page.navigate', { url }, sessionId);
    // A document that is left takes the expression with it, so it is asked where it is first.
    for (;;) {
      const at = await devTools.call('Runtime.evaluate', { expression: 'location.href' }, sessionId);
      if (at['result']?.value === url) break;
    }
    const { result, exceptionDetails } = await devTools.call(
      'Runtime.evaluate',
      { expression, awaitPromise: true, returnByValue: true },
      sessionId,
    );
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return result?.value;
  } finally {
    browser.kill();
    await gone;
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function addressOf(stderr: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: stderr })) {
    const [, address] = /^DevTools listening on (ws:\S+)/.exec(line) ?? [];
    if (address !== undefined) return address;
  }
  throw new Error('the browser did not start');
}

interface Answer {
  readonly targetId?: string;
  readonly sessionId?: string;
  readonly result?: { readonly value?: unknown };
  readonly exceptionDetails?: object;
}

/** As much of a DevTools client as is needed here: calls and their answers. */
class DevTools {
  #lastId = 0;
  readonly #waiting = new Map<number, PromiseWithResolvers<Answer>>();

  private constructor(private readonly socket: WebSocket) {
    socket.addEventListener('message', ({ data }) => {
      const { id, result, error } = JSON.parse(String(data)) as {
        id?: number;
        result?: Answer;
        error?: object;
      };
      const waiting = this.#waiting.get(id ?? 0);
      if (error) waiting?.reject(new Error(JSON.stringify(error)));
      else waiting?.resolve(result ?? {});
    });
    socket.addEventListener('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the browser has gone'));
    });
  }

  static async connect(address: string): Promise<DevTools> {
    const socket = new WebSocket(address);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', reject);
    });
    return new DevTools(socket);
  }

  call(method: string, params: object, sessionId?: string): Promise<Answer> {
    const id = ++this.#lastId;
    const waiting = Promise.withResolvers<Answer>();
    this.#waiting.set(id, waiting);
    this.socket.send(JSON.stringify({ id, method, params, ...(sessionId !== undefined && { sessionId }) }));
    return waiting.promise;
  }
}
