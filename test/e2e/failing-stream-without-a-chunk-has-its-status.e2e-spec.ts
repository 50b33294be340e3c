import { ownGateway } from '@app/testing';
import { expect, it } from 'vitest';

const own = ownGateway({ BILLING_DEFAULT_BALANCE: '0.000000001' });

it('a stream that is refused before it begins is a plain error, not a 200 with an error inside', async () => {
  const response = await own.gateway.complete(
    { model: 'gpt-4', stream: true, messages: [{ role: 'user', content: 'hello' }] },
    'poor',
  );
  expect(response.status).toBe(402);
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  expect(response.headers.get('x-should-retry')).toBe('false');
  expect(await response.json()).toMatchObject({ error: { code: 'insufficient_balance' } });
});
