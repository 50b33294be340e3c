import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { eventually } from '../eventually.js';
import type { Answer, BuiltInSettings, RecordedRequest, RequestMatch, ScriptEntry } from './script.js';

const PROGRAM = fileURLToPath(new URL('./main.ts', import.meta.url));

/** A test's hold on the fake upstream, a process of its own. One per test file; `reset` between tests. */
export class FakeUpstream implements AsyncDisposable {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
  ) {}

  static async start(): Promise<FakeUpstream> {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROGRAM], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface(child.stdout);
    const [line] = (await Promise.race([
      once(lines, 'line'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`the fake upstream ended with ${code}`))),
    ])) as [string];
    const { port } = JSON.parse(line) as { port: number };
    return new FakeUpstream(child, port);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Makes the gateway use this fake for all three vendors. */
  get env(): Record<string, string> {
    return {
      OPENAI_API_KEY: 'sk-fake-openai-key',
      OPENAI_BASE_URL: `${this.url}/v1`,
      ANTHROPIC_API_KEY: 'sk-ant-fake-anthropic-key',
      ANTHROPIC_BASE_URL: this.url,
      GOOGLE_GEMINI_API_KEY: 'fake-google-key',
      GOOGLE_GEMINI_BASE_URL: this.url,
    };
  }

  /** Adds entries behind those that are there. */
  async script(...entries: ScriptEntry[]): Promise<void> {
    await this.#send('POST', '/__script', entries);
  }

  /** The next matching request gets this answer. */
  answerNext(answer: Answer, match: RequestMatch = {}): Promise<void> {
    return this.script({ match, answer });
  }

  /** Every matching request gets this answer. */
  answerAlways(answer: Answer, match: RequestMatch = {}): Promise<void> {
    return this.script({ match, answer, times: 'always' });
  }

  /** How the answers that it makes up itself come. */
  async builtIn(settings: BuiltInSettings): Promise<void> {
    await this.#send('POST', '/__built-in', settings);
  }

  /** Lets the answers go on that wait at this gate, now and later. */
  async release(gate: string): Promise<void> {
    await this.#send('POST', '/__release', { gate });
  }

  /** What it received since the last reset, oldest first. */
  async requests(): Promise<RecordedRequest[]> {
    return (await this.#send('GET', '/__requests')) as RecordedRequest[];
  }

  /** Requests for completions only: no model lists, no probes. */
  async completions(): Promise<RecordedRequest[]> {
    const paths = /\/chat\/completions$|\/messages$|:(stream)?generateContent$/i;
    return (await this.requests()).filter((request) => paths.test(request.path));
  }

  /** Waits until so many completion requests have come. */
  waitForRequests(count: number, timeoutMs = 5_000): Promise<RecordedRequest[]> {
    return eventually(
      `${count} requests at the fake upstream`,
      async () => {
        const received = await this.completions();
        return received.length >= count && received;
      },
      timeoutMs,
    );
  }

  /** Scripted answers not used yet, and connections accepted since its start. */
  async state(): Promise<{ waiting: number; connections: number }> {
    return (await this.#send('GET', '/__state')) as { waiting: number; connections: number };
  }

  /** Forgets scripts, requests and settings, and opens every gate. */
  async reset(): Promise<void> {
    await this.#send('POST', '/__reset');
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.stdin?.end();
    await ended;
  }

  /** Freezes the process: its sockets stay open, nothing is answered. `resume` thaws it. */
  pause(): void {
    this.child.kill('SIGSTOP');
  }

  resume(): void {
    this.child.kill('SIGCONT');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #send(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(this.url + path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const value: unknown = await response.json();
    if (!response.ok) throw new Error(`fake upstream: ${JSON.stringify(value)}`);
    return value;
  }
}
