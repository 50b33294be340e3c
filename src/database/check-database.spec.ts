import { expect, it } from 'vitest';
import { DatabaseRefusesError } from './connection-error.js';
import { sayingWhere } from './check-database.js';

it('says of a password that is not taken that the database refuses it', async () => {
  const refused = new DatabaseRefusesError(new Error('why'));
  await expect(sayingWhere('postgres://u:p@db:1/books', () => Promise.reject(refused))).rejects.toThrow(
    'the database db:1/books refuses the connection: why',
  );
});

it.each([
  ['ECONNREFUSED', 'cannot be reached'],
  ['55P03', 'did not respond in time'],
  ['57014', 'did not respond in time'],
])('says of %s that the database %s', async (code, what) => {
  const refused = Object.assign(new Error('why'), { code });
  await expect(sayingWhere('postgres://u:p@db:1/books', () => Promise.reject(refused))).rejects.toThrow(
    `the database db:1/books ${what}: why`,
  );
});
