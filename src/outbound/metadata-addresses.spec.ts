import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, request } from 'undici';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { isMetadataHost, lookupOutbound } from './metadata-addresses.js';

afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

/** Every name leads to these addresses. */
function resolveTo(...addresses: string[]): void {
  const all = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  const answer = (_name: string, options: { all?: boolean }, callback: (...result: unknown[]) => void) =>
    options.all ? callback(null, all) : callback(null, all[0]?.address, all[0]?.family);
  vi.spyOn(dns, 'lookup').mockImplementation(answer as never);
  syncBuiltinESMExports();
}

function look(all: boolean): Promise<unknown> {
  return new Promise((resolve, reject) => {
    lookupOutbound('models.example', { all }, (error, address) => (error ? reject(error) : resolve(address)));
  });
}

describe('isMetadataHost', () => {
  it.each([
    '169.254.169.254',
    '[::ffff:a9fe:a9fe]',
    '[fd00:ec2::254]',
    '[fd00:ec2::23]',
    '168.63.129.16',
    '[::ffff:168.63.129.16]',
    'metadata.google.internal.',
    '0.0.0.0',
  ])('knows %s', (host) => expect(isMetadataHost(host)).toBe(true));
  it.each(['127.0.0.1', '10.0.0.5', '[::1]', 'localhost', 'api.openai.com', 'metadata.example'])(
    'has nothing against %s',
    (host) => expect(isMetadataHost(host)).toBe(false),
  );
});

describe('lookupOutbound', () => {
  it('resolves names as usual', async () => {
    resolveTo('127.0.0.1', '::1');
    expect(await look(false)).toBe('127.0.0.1');
    expect(await look(true)).toHaveLength(2);
  });

  it.each(['169.254.169.254', '::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe', '0.0.0.0'])(
    'does not know a name that leads to %s, if only among others',
    async (address) => {
      resolveTo(address);
      await expect(look(false)).rejects.toMatchObject({ code: 'ENOTFOUND' });
      resolveTo('127.0.0.1', address);
      await expect(look(true)).rejects.toMatchObject({ code: 'ENOTFOUND' });
    },
  );

  it('is asked at every connection: a name that has moved is not followed', async () => {
    let requests = 0;
    const server = createServer((_request, response) => {
      requests += 1;
      response.setHeader('connection', 'close').end('ok');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://models.example:${(server.address() as AddressInfo).port}/`;
    const dispatcher = new Agent({ connect: { lookup: lookupOutbound } });
    resolveTo('127.0.0.1');
    await (await request(url, { dispatcher })).body.text();
    resolveTo('169.254.169.254');
    await expect(request(url, { dispatcher })).rejects.toMatchObject({ code: 'ENOTFOUND' });
    expect(requests).toBe(1);
    server.close();
  });
});
