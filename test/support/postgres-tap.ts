import { createServer, connect, type Server, type Socket } from 'node:net';

/** Stands between a client and PostgreSQL and counts what is said: statements by their text, and round trips. */
export class PostgresTap implements AsyncDisposable {
  roundTrips = 0;
  readonly statements = new Map<string, number>();
  readonly #sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly target: URL,
  ) {
    server.on('connection', (client) => this.#serve(client));
  }

  /** @param url  where the database really is */
  static async start(url: string): Promise<PostgresTap> {
    const tap = new PostgresTap(createServer(), new URL(url));
    await new Promise<void>((resolve) => tap.server.listen(0, '127.0.0.1', resolve));
    return tap;
  }

  /** The same database, by way of here. */
  get url(): string {
    const address = this.server.address();
    const url = new URL(this.target);
    if (address && typeof address === 'object') url.host = `127.0.0.1:${address.port}`;
    return url.href;
  }

  reset(): void {
    this.roundTrips = 0;
    this.statements.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  #serve(client: Socket): void {
    const database = connect(Number(this.target.port), this.target.hostname);
    const reader = new FrontendReader(this);
    for (const socket of [client, database]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => (client.destroy(), database.destroy(), this.#sockets.delete(socket)));
    }
    client.on('data', (data: Buffer) => {
      reader.read(data);
      database.write(data);
    });
    database.pipe(client);
  }
}

/**
 * What one client says, message by message.
 * @see PostgreSQL manual, 55.7 Message Formats: a type, a length that counts itself, the content
 */
class FrontendReader {
  #rest = Buffer.alloc(0);
  #isStarted = false;
  readonly #prepared = new Map<string, string>();

  constructor(private readonly tap: Pick<PostgresTap, 'roundTrips' | 'statements'>) {}

  read(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (;;) {
      // The first message has no type.
      const head = this.#isStarted ? 1 : 0;
      if (this.#rest.length < head + 4) return;
      const end = head + this.#rest.readUInt32BE(head);
      if (this.#rest.length < end) return;
      if (this.#isStarted) this.#note(String.fromCodePoint(this.#rest[0] ?? 0), this.#rest.subarray(5, end));
      this.#isStarted = true;
      this.#rest = this.#rest.subarray(end);
    }
  }

  #note(type: string, content: Buffer): void {
    if (type === 'P') {
      const [name, sql] = texts(content, 2);
      this.#prepared.set(name ?? '', sql ?? '');
    } else if (type === 'B') {
      const [, name] = texts(content, 2);
      this.#count(this.#prepared.get(name ?? '') ?? '?');
    } else if (type === 'Q') this.#count(texts(content, 1)[0] ?? '?');
    if (type === 'Q' || type === 'S') this.tap.roundTrips += 1;
  }

  #count(sql: string): void {
    this.tap.statements.set(sql, (this.tap.statements.get(sql) ?? 0) + 1);
  }
}

/** So many texts, each ended by a zero. */
function texts(content: Buffer, count: number): string[] {
  const found: string[] = [];
  let start = 0;
  while (found.length < count) {
    const end = content.indexOf(0, start);
    if (end < 0) break;
    found.push(content.toString('utf8', start, end));
    start = end + 1;
  }
  return found;
}
