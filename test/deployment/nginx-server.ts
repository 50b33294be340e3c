import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { eventually, freePort } from '@app/testing';
import { Background, DEPLOYMENTS, requireProgram, run, runScript } from './programs.js';

const TEMPORARY_PATHS = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/** The real nginx with the real `nginx.conf`: only its ports and folders, and the gateways' ports, are the test's. */
export class NginxServer implements AsyncDisposable {
  readonly #process: Background;

  private constructor(
    readonly directory: string,
    readonly port: number,
    readonly plainPort: number,
    readonly certificate: string,
  ) {
    this.#process = new Background(requireProgram('nginx'), this.#arguments());
  }

  /** @param edit  what a faulty installation would change in `nginx.conf` */
  static async start(
    directory: string,
    gatewayPorts: readonly number[],
    edit: (text: string) => string = (text) => text,
  ): Promise<NginxServer> {
    const [port, plainPort] = [await freePort(), await freePort()];
    // nginx's workers are another user, and put large bodies below.
    await chmod(directory, 0o755);
    await mkdir(join(directory, 'llm-gateway'), { recursive: true });
    await mkdir(join(directory, 'logs'));
    await writeFile(join(directory, 'nginx.conf'), edit(await configuration(directory, port, plainPort)));
    await writeFile(join(directory, 'llm-gateway', 'upstreams.conf'), await upstreams(gatewayPorts));
    const tls = join(directory, 'tls');
    const made = await runScript('ssl-setup.sh', [
      '--self-signed',
      '--domain',
      'localhost',
      '--out',
      tls,
      '--reload',
      'true',
    ]);
    if (made.code !== 0) throw new Error(`ssl-setup.sh failed: ${made.stderr}`);
    const certificate = await readFile(join(tls, 'fullchain.pem'), 'utf8');
    const server = new NginxServer(directory, port, plainPort, certificate);
    await eventually('nginx listens', async () => server.#process.hasEnded || (await accepts(port)));
    if (server.#process.hasEnded) throw new Error(`nginx ended: ${server.#process.output}`);
    return server;
  }

  get url(): string {
    return `https://localhost:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** `nginx -t` on the same files. */
  check() {
    return run(requireProgram('nginx'), ['-t', ...this.#arguments(false)]);
  }

  /** Its access log, a record for each finished request. */
  async accessLog(): Promise<Record<string, unknown>[]> {
    const text = await readFile(join(this.directory, 'logs', 'access.log'), 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  errorLog(): Promise<string> {
    return readFile(join(this.directory, 'logs', 'error.log'), 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop('SIGTERM');
  }

  #arguments(foreground = true): string[] {
    const directives = `pid ${join(this.directory, 'nginx.pid')};${foreground ? ' daemon off;' : ''}`;
    return ['-p', this.directory, '-c', join(this.directory, 'nginx.conf'), '-g', directives];
  }
}

async function configuration(directory: string, port: number, plainPort: number): Promise<string> {
  const text = await readFile(join(DEPLOYMENTS, 'nginx.conf'), 'utf8');
  const paths = TEMPORARY_PATHS.map((name) => `${name}_temp_path ${join(directory, `${name}_temp`)};`).join(
    ' ',
  );
  return text
    .replace('http {', `http { ${paths}`)
    .replaceAll('/var/log/nginx/', `${directory}/logs/`)
    .replaceAll(/listen (\[::\]:)?80 /g, `listen $1${plainPort} `)
    .replaceAll(/listen (\[::\]:)?443 /g, `listen $1${port} `);
}

async function upstreams(ports: readonly number[]): Promise<string> {
  const text = await readFile(join(DEPLOYMENTS, 'nginx', 'upstreams.local.conf'), 'utf8');
  return ports.reduce(
    (result, port, index) => result.replace(`127.0.0.1:${8001 + index}`, `127.0.0.1:${port}`),
    text,
  );
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
