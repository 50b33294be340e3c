import { createServer, type Server, Socket, connect } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** What happens to the bytes of one direction. Everything is off when absent. */
export interface DirectionFaults {
  /** Each piece of data waits so long; order is kept. */
  latencyMs?: number;
  /** Up to so much more, random per piece. */
  jitterMs?: number;
  /** Bytes per second. */
  bandwidth?: number;
  /** Data is cut into pieces of so many bytes, each sent on its own. */
  sliceBytes?: number;
  /** After so many bytes of the connection nothing more is passed on; the connection stays open. 0 = from the start. */
  stallAfterBytes?: number;
  /** After so many bytes the connection is ended in order (FIN) in both directions. */
  cutAfterBytes?: number;
  /** After so many bytes the connection is reset (RST). */
  resetAfterBytes?: number;
  /** Data is read and thrown away. */
  blackhole?: boolean;
}

export interface ProxyFaults {
  /** Client -> server. */
  up?: DirectionFaults;
  /** Server -> client. */
  down?: DirectionFaults;
  /** Connections are accepted and nothing is ever read from them: a peer that hangs with its socket open. */
  halfOpen?: boolean;
}

/**
 * A TCP proxy that spoils connections, for tests: stands between the gateway and Postgres, Redis or a provider.
 * `faults` may be changed at any time; it counts for new connections and for further data of living ones.
 */
export class FaultProxy implements AsyncDisposable {
  faults: ProxyFaults = {};
  readonly #pairs = new Set<Pair>();
  #server: Server | undefined;
  #port = 0;

  private constructor(private readonly target: { host: string; port: number }) {}

  /** @param target  where to, `host:port` or a URL with a port */
  static async start(target: string): Promise<FaultProxy> {
    const { hostname, port } = new URL(target.includes('://') ? target : `tcp://${target}`);
    const proxy = new FaultProxy({ host: hostname, port: Number(port) });
    await proxy.#listen();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  /** The same URL, but through the proxy. */
  through(url: string): string {
    const proxied = new URL(url);
    proxied.hostname = '127.0.0.1';
    proxied.port = String(this.#port);
    return proxied.toString();
  }

  /** Takes all faults away. Connections that were stalled are reset, so that nobody waits on them for ever. */
  heal(): void {
    this.faults = {};
    for (const pair of this.#pairs) if (pair.spoiled) pair.reset();
  }

  /** Stops listening and resets what is open: connecting gives ECONNREFUSED until `accept`. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.resetAll();
    if (!server) return;
    server.close();
    await once(server, 'close');
  }

  /** Listens again, on the same port. */
  async accept(): Promise<void> {
    if (!this.#server) await this.#listen();
  }

  /** Resets every open connection now (RST). */
  resetAll(): void {
    for (const pair of this.#pairs) pair.reset();
  }

  async stop(): Promise<void> {
    await this.refuse();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #listen(): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
    this.#server = server;
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address && typeof address === 'object') this.#port = address.port;
  }

  #accept(client: Socket): void {
    const pair = new Pair(
      client,
      connect({ ...this.target, noDelay: true, allowHalfOpen: true }),
      () => this.faults,
    );
    this.#pairs.add(pair);
    pair.onClose = () => this.#pairs.delete(pair);
  }
}

/** One proxied connection. */
class Pair {
  onClose: () => void = () => undefined;
  spoiled = false;

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    private readonly faults: () => ProxyFaults,
  ) {
    new Direction(client, server, () => this.faults().up ?? {}, this);
    new Direction(server, client, () => this.faults().down ?? {}, this);
    for (const socket of [client, server]) {
      socket.on('error', () => this.reset());
      socket.on('close', () => this.#closed());
    }
    if (faults().halfOpen) this.#hang();
  }

  reset(): void {
    this.client.resetAndDestroy();
    this.server.destroy();
    this.#closed();
  }

  cut(): void {
    this.client.end();
    this.server.end();
    this.client.resume();
    this.server.resume();
  }

  #hang(): void {
    this.spoiled = true;
    this.client.pause();
    this.server.pause();
  }

  #closed(): void {
    if (!this.client.destroyed || !this.server.destroyed) return;
    this.onClose();
  }
}

/** The bytes of one connection going one way. */
class Direction {
  #passed = 0;
  #queue: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly faults: () => DirectionFaults,
    private readonly pair: Pair,
  ) {
    from.on('data', (data: Buffer) => this.#enqueue(data));
    from.on('end', () => this.#enqueue(undefined));
    from.on('close', () => {
      if (!this.#ended) to.destroy();
    });
  }

  /** @param data  `undefined` = the sender is done */
  #enqueue(data: Buffer | undefined): void {
    if (data === undefined) this.#ended = true;
    this.from.pause();
    this.#queue = this.#queue.then(async () => {
      await this.#delay();
      if (data === undefined) this.to.end();
      else for (const piece of this.#slices(data)) await this.#pass(piece);
      this.from.resume();
    });
  }

  async #delay(): Promise<void> {
    const { latencyMs = 0, jitterMs = 0 } = this.faults();
    const waitMs = latencyMs + Math.random() * jitterMs;
    if (waitMs > 0) await sleep(waitMs);
  }

  *#slices(data: Buffer): Generator<Buffer> {
    const size = this.faults().sliceBytes ?? data.length;
    for (let start = 0; start < data.length; start += size) yield data.subarray(start, start + size);
  }

  async #pass(piece: Buffer): Promise<void> {
    const { blackhole, stallAfterBytes, cutAfterBytes, resetAfterBytes, bandwidth } = this.faults();
    if (blackhole) {
      this.pair.spoiled = true;
      return;
    }
    const limit = Math.min(
      stallAfterBytes ?? Infinity,
      cutAfterBytes ?? Infinity,
      resetAfterBytes ?? Infinity,
    );
    const allowed = piece.subarray(0, Math.max(0, limit - this.#passed));
    if (allowed.length > 0) await this.#write(allowed);
    this.#passed += allowed.length;
    if (allowed.length < piece.length || this.#passed >= limit) this.#trip(cutAfterBytes, resetAfterBytes);
    if (bandwidth) await sleep((allowed.length / bandwidth) * 1_000);
    else if (this.faults().sliceBytes) await new Promise(setImmediate);
  }

  /** A receiver that doesn't read makes the sender wait, as without the proxy. */
  async #write(piece: Buffer): Promise<void> {
    if (this.to.destroyed || this.to.write(piece)) return;
    await Promise.race([once(this.to, 'drain'), once(this.to, 'close')]).catch(() => undefined);
  }

  #trip(cutAfterBytes: number | undefined, resetAfterBytes: number | undefined): void {
    this.pair.spoiled = true;
    if (resetAfterBytes !== undefined && this.#passed >= resetAfterBytes) this.pair.reset();
    else if (cutAfterBytes !== undefined && this.#passed >= cutAfterBytes) this.pair.cut();
  }
}
