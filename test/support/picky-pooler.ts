import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Transform } from 'node:stream';

export interface PickyPooler {
  readonly url: string;
  /** While true, connections are made as ever, and no statement is passed on: the server behind it hangs. */
  swallows: boolean;
  close(): void;
}

/**
 * Like PgBouncer without `ignore_startup_parameters`: a connection may start with nothing it doesn't know.
 *
 * @param refused  words that may not be among what a connection starts with, the first that is found is told
 * @param together  so many connections are refused at the same moment, the first time
 */
export async function startPickyPooler(
  target: string,
  refused: readonly string[],
  together = 1,
): Promise<PickyPooler> {
  const { port } = new URL(target);
  let refusals = 0;
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const refuse = (client: Socket, word: string): void => {
    refusals += 1;
    if (refusals === together) open();
    void opened.then(() => client.end(errorResponse(`unsupported startup parameter: ${word}`)));
  };
  const server = createServer((client) => {
    client.on('error', () => undefined);
    client.once('data', (startup: Buffer) => {
      const word = refused.find((name) => startup.includes(name));
      if (word !== undefined) return refuse(client, word);
      const upstream = connect(Number(port), '127.0.0.1');
      upstream.on('error', () => client.destroy());
      upstream.write(startup);
      return client
        .pipe(passing(() => pooler.swallows))
        .pipe(upstream)
        .pipe(client);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(target);
  url.port = String((server.address() as AddressInfo).port);
  const pooler = { url: url.toString(), swallows: false, close: () => void server.close() };
  return pooler;
}

/** Query, Parse and Bind begin a statement; what a connection starts with begins with none of these. */
const BEGINS_STATEMENT = /^[QPB]/;

function passing(swallows: () => boolean): Transform {
  return new Transform({
    transform(data: Buffer, _encoding, done) {
      const isLost = swallows() && BEGINS_STATEMENT.test(data.toString('latin1', 0, 1));
      done(null, isLost ? undefined : data);
    },
  });
}

function errorResponse(message: string): Buffer {
  const fields = ['SFATAL', 'C08P01', `M${message}`, ''];
  const body = Buffer.from(fields.map((field) => `${field}\0`).join(''));
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
