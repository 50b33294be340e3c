import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HeadStart, LeanResponse } from './lean-response.js';

let server: Server;
afterEach(() => void server.close());

async function answerOf(answer: (response: LeanResponse) => void): Promise<IncomingMessage> {
  server = createServer({ ServerResponse: LeanResponse }, (_request, response) => answer(response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const request = get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.resume();
  return response;
}

const start = new HeadStart(['X-Frame', 'DENY', 'X-Policy', 'none']);

describe.each([
  ['as a list', (response: LeanResponse) => response.keepHead()],
  ['as a list behind a start', (response: LeanResponse) => response.keepHead(start)],
  ['as Node keeps them', () => undefined],
])('headers kept %s', (_how, begin) => {
  it('are sent with the body, the last value of a name only, in any case', async () => {
    const { statusCode, headers, rawHeaders } = await answerOf((response) => {
      begin(response);
      response.setHeader('X-One', '1').setHeader('Set-Cookie', ['a', 'b']).setHeader('x-one', '2');
      response.statusCode = 201;
      response.end('ok');
    });
    expect(statusCode).toBe(201);
    expect(headers).toMatchObject({ 'x-one': '2', 'set-cookie': ['a', 'b'] });
    expect(rawHeaders.filter((name) => name.toLowerCase() === 'x-one')).toHaveLength(1);
  });

  it('go out early when they are flushed', async () => {
    const { headers } = await answerOf((response) => {
      begin(response);
      response.setHeader('X-One', '1');
      response.flushHeaders();
      expect(response.headersSent).toBe(true);
      expect(() => response.setHeader('X-Two', '2')).toThrow('after they are sent');
      response.end();
    });
    expect(headers['x-one']).toBe('1');
  });

  it('can be asked for, taken back and added to', async () => {
    const { headers } = await answerOf((response) => {
      begin(response);
      response.setHeader('X-One', '1').setHeader('X-Two', '2').setHeader('X-Three', '3');
      expect(response.getHeader('x-one')).toBe('1');
      expect(response.hasHeader('x-four')).toBe(false);
      expect(response.getHeaderNames()).toContain('x-two');
      response.removeHeader('x-two');
      response.appendHeader('x-three', '4');
      expect(response.getHeaders()).toMatchObject({ 'x-three': ['3', '4'] });
      response.end();
    });
    expect(headers).toMatchObject({ 'x-one': '1', 'x-three': '3, 4' });
    expect(headers['x-two']).toBeUndefined();
  });

  it('are joined with those given to writeHead', async () => {
    const { headers } = await answerOf((response) => {
      begin(response);
      response.setHeader('X-One', '1').setHeader('X-Two', '2');
      response.writeHead(200, { 'x-two': 'other', 'x-three': '3' }).end();
    });
    expect(headers).toMatchObject({ 'x-one': '1', 'x-two': 'other', 'x-three': '3' });
  });

  it('refuse a value that would break the head', async () => {
    const { headers } = await answerOf((response) => {
      begin(response);
      expect(() => {
        response.setHeader('X-One', '1');
        response.setHeader('X-Bad', 'a\r\nSet-Cookie: b');
        response.end();
      }).toThrow('Invalid character');
      if (!response.headersSent) response.writeHead(500).end();
    });
    expect(headers['set-cookie']).toBeUndefined();
    expect(headers).toMatchObject({ 'x-one': '1' });
    expect(headers).not.toHaveProperty('x-bad');
  });
});

describe('what all heads begin with', () => {
  const rawOf = async (answer: (response: LeanResponse) => void): Promise<string[]> => {
    const { rawHeaders } = await answerOf((response) => {
      response.keepHead(start);
      answer(response);
      response.end('ok');
    });
    return rawHeaders.slice(0, rawHeaders.indexOf('Date'));
  };

  it('is sent before the rest', async () => {
    const raw = await rawOf((response) => response.setHeader('X-One', '1').setHeader('Content-Length', 2));
    expect(raw).toEqual(['X-Frame', 'DENY', 'X-Policy', 'none', 'X-One', '1', 'Content-Length', '2']);
  });

  it('gives way to another value', async () => {
    const raw = await rawOf((response) => response.setHeader('X-One', '1').setHeader('x-policy', 'all'));
    expect(raw).toEqual(['X-Frame', 'DENY', 'X-Policy', 'all', 'X-One', '1']);
  });

  it('can be asked for and taken back', async () => {
    const raw = await rawOf((response) => {
      expect(response.getHeader('x-policy')).toBe('none');
      response.removeHeader('x-frame');
    });
    expect(raw).toEqual(['X-Policy', 'none']);
  });

  it('cannot break the head', () => {
    expect(() => new HeadStart(['X-Bad', 'a\r\nSet-Cookie: b'])).toThrow('Invalid character');
    expect(() => new HeadStart(['X Bad', 'a'])).toThrow('valid HTTP token');
  });
});
