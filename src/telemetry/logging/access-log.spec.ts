import express from 'express';
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/support/recording-server.js';
import { requestContext } from '../../edge/request-context.middleware.js';
import { type GatewayEvent, Telemetry } from '../telemetry.js';
import { accessLog } from './access-log.js';

let server: Server;
let url: string;
const events: GatewayEvent[] = [];

beforeEach(async () => {
  events.length = 0;
  const telemetry = new Telemetry();
  telemetry.addSink({ event: (event) => void events.push(event) });
  const app = express();
  app.use(requestContext, accessLog(telemetry));
  app.get('/v1/models/:id', (_request, response) => void response.json({}));
  app.post('/v1/chat/completions', (request, response) => {
    request.gateway.hasRecord = request.query.refused === undefined;
    response.status(request.query.refused === undefined ? 200 : 401).json({});
  });
  server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => void server.close());

describe('the access log', () => {
  it('tells route, status and id, and never the query', async () => {
    await fetch(`${url}/v1/models/gpt-4?api_key=secret`, { headers: { 'x-request-id': 'mine' } });
    await until(() => events.length === 1);
    expect(events[0]).toMatchObject({
      kind: 'access',
      method: 'GET',
      route: '/v1/models/:id',
      path: '/v1/models/gpt-4',
      status: 200,
      requestId: 'mine',
    });
  });

  it('tells of a completion only when it was refused before it began', async () => {
    await fetch(`${url}/v1/chat/completions`, { method: 'POST' });
    await fetch(`${url}/v1/chat/completions?refused`, { method: 'POST' });
    await until(() => events.length === 1);
    expect(events).toMatchObject([{ path: '/v1/chat/completions', status: 401 }]);
  });

  it('has no route for what no route matched', async () => {
    await fetch(`${url}/wp-admin/${'x'.repeat(300)}`);
    await until(() => events.length === 1);
    expect(events[0]).toMatchObject({ route: undefined, status: 404 });
  });
});
