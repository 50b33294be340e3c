import type { Response } from 'express';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { sendJson } from './json-response.js';

async function sent(json: string): Promise<{ name: string | null; bytes: string | null; text: string }> {
  const server = createServer((_request, response) => {
    response.setHeader('x-name', 'caf\u00e9');
    sendJson(response as unknown as Response, json);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const { headers } = answer;
    return { name: headers.get('x-name'), bytes: headers.get('content-length'), text: await answer.text() };
  } finally {
    server.close();
  }
}

describe('a JSON answer', () => {
  it.each([
    ['ASCII', '{"a":"plain"}', 13],
    ['Latin-1', '{"a":"caf\u00e9"}', 13],
    ['more than that', '{"a":"\u{1f600}"}', 12],
    ['long text', `{"a":"${'x'.repeat(100_000)}"}`, 100_008],
  ])('of %s arrives as it is, behind a head that does not depend on it', async (_what, json, bytes) => {
    expect(await sent(json)).toEqual({ name: 'caf\u00e9', bytes: String(bytes), text: json });
  });
});
