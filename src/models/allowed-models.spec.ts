import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Principal } from '../auth/principal.js';
import { allowedModels, isAllowed } from './allowed-models.js';
import { Snapshot } from './catalog-snapshot.js';
import type { CatalogModel, CatalogSnapshot } from './catalog.js';
import { modelNotFound } from './model-catalog.service.js';

const model = (id: string) => ({ id, root: id, targets: [], fallbacks: [] }) as unknown as CatalogModel;
const principal = (models?: readonly string[]) => ({ userId: 'ann', models }) as Principal;

describe('the models that a token may use', () => {
  it('are, all at once, those that it may use one by one', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'a-1', 'a-*', 'gone');
    const aliases = fc
      .dictionary(name, name, { noNullPrototype: true })
      .map((made) => new Map(Object.entries(made)));
    fc.assert(
      fc.property(fc.uniqueArray(name), aliases, fc.option(fc.array(name)), (ids, leads, names) => {
        const snapshot = new Snapshot(ids.map(model), leads);
        const who = principal(names ?? undefined);
        const oneByOne = snapshot.list().filter((one) => isAllowed(one, one.id, who, snapshot));
        expect(allowedModels(who, snapshot)).toEqual(oneByOne);
      }),
    );
  });

  it('are found by one look for each name, however many there are: a misspelt model holds nobody up', () => {
    const whole = new Snapshot(
      Array.from({ length: 300 }, (_, at) => model(`m${at}`)),
      new Map(),
    );
    let looks = 0;
    const snapshot: CatalogSnapshot = {
      find: (name) => {
        looks += 1;
        return whole.find(name);
      },
      list: () => whole.list(),
      leadsTo: () => false,
    };
    const names = Array.from({ length: 200 }, (_, at) => `other-${at}`);
    modelNotFound('gpt-nope', principal(names), snapshot);
    expect(looks).toBeLessThanOrEqual(names.length);
  });
});
