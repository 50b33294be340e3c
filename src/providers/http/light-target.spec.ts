import type { RequestListener, ServerResponse } from 'node:http';
import { CallSwitch } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { connectionFailure } from './connection-failure.js';
import { failure, lightFetch, pause, serve, until } from './fixtures/local-server.js';
import { type LightFetchOptions, lightTargetOf } from './light-fetch.js';
import { errorBodyText } from './light-response.js';
import type { LightTarget } from './light-target.js';

async function target(listener: RequestListener, options?: LightFetchOptions): Promise<LightTarget> {
  const url = new URL(`${await serve(listener)}/v1?version=1`);
  const headers = new Headers({ 'x-common': 'yes', 'accept-encoding': 'gzip' });
  return lightTargetOf(lightFetch(options), url, headers)!;
}

describe('an answer that is read whole', () => {
  it('is asked for with what all requests have and what this one has', async () => {
    const to = await target((request, response) => {
      const { method, url, headers } = request;
      request.setEncoding('utf8').on('data', (body) => {
        response.end(JSON.stringify({ method, url, body, headers }));
      });
    });
    const { status, ok, text } = await to.postForWhole('{}', ['x-own', 'too'], new CallSwitch());
    expect({ status, ok }).toEqual({ status: 200, ok: true });
    expect(JSON.parse(text)).toMatchObject({
      method: 'POST',
      url: '/v1?version=1',
      body: '{}',
      headers: { 'x-common': 'yes', 'x-own': 'too', 'accept-encoding': 'identity' },
    });
  });

  it('is the same however its bytes are cut, without a byte order mark', async () => {
    const bytes = Buffer.from('\ufeffgrüße 👋');
    for (let cut = 1; cut < bytes.length; cut += 1) {
      const to = await target(async (_request, response) => {
        response.write(bytes.subarray(0, cut));
        await pause(2);
        response.end(bytes.subarray(cut));
      });
      expect((await to.postForWhole('', [], new CallSwitch())).text).toBe('grüße 👋');
    }
  });

  it('may be empty, or an error whose text its headers lead to', async () => {
    const empty = await target((_request, response) => response.end());
    expect(await empty.postForWhole('', [], new CallSwitch())).toMatchObject({ ok: true, text: '' });
    const refused = await target((_request, response) => response.writeHead(400, { 'x-a': 'b' }).end('no'));
    const answer = await refused.postForWhole('', [], new CallSwitch());
    expect(answer).toMatchObject({ ok: false, status: 400, text: 'no' });
    expect(answer.headers.get('x-a')).toBe('b');
    expect(errorBodyText(answer.headers)).toBe('no');
  });

  it('is not read beyond its limit: the upstream is closed', async () => {
    let closed = false;
    const to = await target(
      (_request, response) => {
        const timer = setInterval(() => response.write('x'.repeat(1000)), 1);
        response.on('close', () => {
          closed = true;
          clearInterval(timer);
        });
      },
      { maxBodyBytes: 5000 },
    );
    const error = await failure(to.postForWhole('', [], new CallSwitch()));
    expect(connectionFailure(error)).toMatchObject({ processed: 'unknown', kind: 'body_too_large' });
    await until(() => closed);
  });

  it.each([
    ['does not end', 4000, (response: ServerResponse) => void response.write('slow down')],
    [
      'is larger than any',
      1900,
      (response: ServerResponse) => {
        const timer = setInterval(() => response.write('slow down'.repeat(1000)), 1);
        response.on('close', () => clearInterval(timer));
      },
    ],
  ])(
    'a refusal whose text %s is told by its status, and the upstream closed',
    async (_how, mostMs, write) => {
      let closed = 0;
      const to = await target((_request, response) => {
        response.on('close', () => (closed += 1));
        write(response.writeHead(429, { 'retry-after': '7' }));
      });
      const startedMs = performance.now();
      const answers = await Promise.all([
        to.postForWhole('', [], new CallSwitch()).then((answer) => ({ answer, said: answer.text })),
        to.post('', [], new CallSwitch()).then(async (answer) => ({ answer, said: await answer.text() })),
      ]);
      expect(performance.now() - startedMs).toBeLessThan(mostMs);
      for (const { answer, said } of answers) {
        expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '7']);
        expect(said.slice(0, 9)).toBe('slow down');
        expect(said.length).toBeLessThan(200_000);
        expect(errorBodyText(answer.headers)).toBe(said);
      }
      await until(() => closed === 2);
    },
  );

  it('fails when its connection does in the middle', async () => {
    const to = await target((request, response) => {
      response.write('begun');
      setTimeout(() => request.socket.destroy(), 20);
    });
    const error = await failure(to.postForWhole('', [], new CallSwitch()));
    expect(connectionFailure(error)).toMatchObject({ processed: 'unknown', kind: 'reset' });
  });

  it('is given up with the reason of the signal: before the call, while waiting, while reading', async () => {
    let asked = 0;
    let closed = 0;
    const to = await target((request, response) => {
      asked += 1;
      response.on('close', () => (closed += 1));
      if (request.headers['x-begins']) response.write('x');
    });
    const reason = new Error('client gone');
    const gone = new CallSwitch();
    gone.abort(reason);
    expect(await failure(to.postForWhole('', [], gone))).toBe(reason);
    expect(asked).toBe(0);
    for (const headers of [[], ['x-begins', 'yes']]) {
      const client = new CallSwitch();
      const failed = failure(to.postForWhole('', headers, client));
      setTimeout(() => client.abort(reason), 50);
      expect(await failed).toBe(reason);
    }
    await until(() => closed === 2);
  });
});

it('is not there for a fetch of another make', () => {
  expect(lightTargetOf(globalThis.fetch, new URL('http://localhost'), new Headers())).toBeUndefined();
});
