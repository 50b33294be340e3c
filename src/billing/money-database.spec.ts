import { describe, expect, it } from 'vitest';
import { MoneyDatabase } from './money-database.js';

describe('MoneyDatabase', () => {
  it('lets go of what was answered, and keeps for another try what failed', async () => {
    let isBroken = true;
    const database = new MoneyDatabase({
      query: (_sql, parameters = []) =>
        isBroken
          ? Promise.reject(new Error('deadlock'))
          : Promise.resolve([{ length: parameters.length } as never]),
    });
    const parameters = ['a long text', 2];
    await expect(database.query('SELECT', parameters)).rejects.toThrow('deadlock');
    expect(parameters).toEqual(['a long text', 2]);
    isBroken = false;
    expect(await database.query('SELECT', parameters)).toEqual([{ length: 2 }]);
    expect(parameters).toEqual([]);
  });
});
