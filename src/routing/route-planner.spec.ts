import type { ChatRequest, ModelCapabilities } from '@app/contracts';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Principal } from '../auth/principal.js';
import type { CatalogModel, CatalogTarget } from '../models/catalog.js';
import { LatencyBook } from './latency-book.service.js';
import { rendezvousOrder } from './rendezvous-order.js';
import { MAX_TARGETS, RoutePlanner } from './route-planner.service.js';
import type { Availability } from './target-availability.service.js';

const ALL: ModelCapabilities = {
  tools: true,
  vision: true,
  documents: true,
  audioInput: true,
  jsonSchema: true,
  reasoning: true,
};
const ANN: Principal = {
  userId: 'ann',
  role: 'user',
  models: undefined,
  tokenId: undefined,
  issuedAt: undefined,
  expiresAt: 0,
};

function target(provider: string, overrides: Partial<CatalogTarget> = {}): CatalogTarget {
  return {
    provider,
    upstreamModel: 'm',
    weight: 1,
    contextWindow: 100_000,
    maxOutputTokens: 4096,
    capabilities: ALL,
    price: {} as CatalogTarget['price'],
    priceVersion: 'v',
    ...overrides,
  };
}

function model(id: string, targets: CatalogTarget[], fallbacks: string[] = []): CatalogModel {
  return { id, root: id, ownedBy: 'x', created: 0, targets, fallbacks, cache: undefined, aliases: [] };
}

const request = (overrides: Partial<ChatRequest> = {}): ChatRequest => ({
  model: 'a',
  messages: [],
  ...overrides,
});

let unavailable: Map<string, Availability>;
let latencies: LatencyBook;

function planner(...models: CatalogModel[]): RoutePlanner {
  const byId = new Map(models.map((known) => [known.id, known]));
  const catalog = {
    snapshot: () => ({ find: (name: string) => byId.get(name), list: () => models, leadsTo: () => true }),
  };
  const availability = { of: ({ provider }: { provider: string }) => unavailable.get(provider) ?? 'ok' };
  return new RoutePlanner(catalog, availability, latencies);
}

beforeEach(() => {
  unavailable = new Map();
  latencies = new LatencyBook();
});

const providersOf = (plan: { targets: readonly { provider: string }[] }): string[] =>
  plan.targets.map(({ provider }) => provider);

/** How often each provider came first. */
function firstPlaces(
  times: number,
  plan: () => { targets: readonly { provider: string }[] },
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let index = 0; index < times; index++) {
    const { provider } = plan().targets[0]!;
    counts[provider] = (counts[provider] ?? 0) + 1;
  }
  return counts;
}

describe('weights', () => {
  it('are the shares of first places, and a backup is never among them', () => {
    const a = model('a', [
      target('p', { weight: 3 }),
      target('q', { weight: 1 }),
      target('backup', { weight: 0 }),
    ]);
    const routes = planner(a);
    const counts = firstPlaces(4000, () => routes.plan(a, request(), { principal: ANN }));
    expect(counts.p! / 4000).toBeGreaterThan(0.71);
    expect(counts.p! / 4000).toBeLessThan(0.79);
    expect(counts.backup).toBeUndefined();
    const plan = routes.plan(a, request(), { principal: ANN });
    expect(plan.targets.at(-1)).toMatchObject({ provider: 'backup', reason: 'backup', modelId: 'a' });
  });

  it('give way to a target that is clearly faster, until nothing is known any more', () => {
    const a = model('a', [target('slow'), target('fast')]);
    const routes = planner(a);
    const first = () => firstPlaces(200, () => routes.plan(a, request({ stream: true }), { principal: ANN }));
    latencies.note('slow', 'm', 'stream', 1000);
    expect(first().slow).toBeGreaterThan(50);
    latencies.note('fast', 'm', 'stream', 600);
    expect(first().slow).toBeGreaterThan(50);
    latencies.note('fast', 'm', 'stream', 0);
    for (let index = 0; index < 30; index++) latencies.note('fast', 'm', 'stream', 100);
    expect(first()).toEqual({ fast: 200 });
    latencies.renew('slow');
    expect(first().slow).toBeGreaterThan(50);
    const whole = firstPlaces(200, () => routes.plan(a, request(), { principal: ANN }));
    expect(whole.slow).toBeGreaterThan(50);
  });
});

describe('LatencyBook', () => {
  it('averages, a measurement by its distance from the last one, and forgets after a minute', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const average = () => latencies.averageMs('p', 'm', 'whole');
    latencies.note('p', 'm', 'whole', 100);
    latencies.note('p', 'm', 'whole', 200);
    expect(average()).toBeCloseTo(110);
    vi.advanceTimersByTime(30_000);
    latencies.note('p', 'm', 'whole', 210);
    expect(average()).toBeCloseTo(210 - 100 / Math.E);
    vi.advanceTimersByTime(59_999);
    expect(average()).toBeDefined();
    vi.advanceTimersByTime(1);
    expect(average()).toBeUndefined();
  });
});

describe('a sticky key', () => {
  const targets = ['p', 'q', 'r'].map((provider) => target(provider));
  const idOf = ({ id }: { id: string }) => id;

  it('keeps a session with one target, per user, and spreads sessions', () => {
    const a = model('a', targets);
    const routes = planner(a);
    const first = (stickyKey: string, userId = 'ann') =>
      routes.plan(a, request(), { principal: { ...ANN, userId }, stickyKey }).targets[0]!.provider;
    const seen = new Set<string>();
    let moved = 0;
    for (let session = 0; session < 100; session++) {
      expect(first(`s${session}`)).toBe(first(`s${session}`));
      seen.add(first(`s${session}`));
      if (first(`s${session}`) !== first(`s${session}`, 'bob')) moved++;
    }
    expect(seen.size).toBe(3);
    expect(moved).toBeGreaterThan(30);
    const reasonFor = (user: string) =>
      routes.plan(a, request({ user }), { principal: ANN }).targets[0]!.reason;
    expect([reasonFor('u'), reasonFor('')]).toEqual(['sticky', 'weight']);
  });

  it('moves only the keys of a target that leaves (property)', () => {
    const weighted = targets.map(({ provider }, index) => ({ id: provider, weight: index + 1 }));
    fc.assert(
      fc.property(fc.string(), (key) => {
        const all = rendezvousOrder(key, weighted, idOf).map(({ id }) => id);
        const without = rendezvousOrder(
          key,
          weighted.filter(({ id }) => id !== 'q'),
          idOf,
        ).map(({ id }) => id);
        expect(without).toEqual(all.filter((id) => id !== 'q'));
      }),
    );
  });

  // Another hash would send every session elsewhere once, past what is cached there.
  it('leads to the same target in every version', () => {
    const equal = targets.map(({ provider }) => ({ id: provider, weight: 1 }));
    const order = (key: number) => rendezvousOrder(`session-${key}`, equal, idOf).map(({ id }) => id);
    expect(Array.from({ length: 8 }, (_, key) => order(key).join('')).join(' ')).toBe(
      'prq rqp rqp qpr pqr rqp rpq qrp',
    );
  });

  it('spreads by weight', () => {
    const weighted = [
      { id: 'p', weight: 1 },
      { id: 'q', weight: 3 },
    ];
    let q = 0;
    for (let key = 0; key < 4000; key++)
      if (rendezvousOrder(`session-${key}`, weighted, idOf)[0]!.id === 'q') q++;
    expect(q / 4000).toBeGreaterThan(0.71);
    expect(q / 4000).toBeLessThan(0.79);
  });
});

describe('fallbacks', () => {
  it('follow in order, each once, through loops, and only what the token may use', () => {
    const a = model('a', [target('pa')], ['b', 'secret', 'gone', 'a']);
    const b = model('b', [target('pb')], ['c', 'a']);
    const c = model('c', [target('pc'), target('pa', { weight: 0 })], ['a', 'b', 'c']);
    const secret = model('secret', [target('ps')]);
    const routes = planner(a, b, c, secret);
    const plan = routes.plan(a, request(), { principal: { ...ANN, models: ['a', 'b', 'c'] } });
    expect(providersOf(plan)).toEqual(['pa', 'pb', 'pc']);
    expect(plan.targets.map(({ modelId }) => modelId)).toEqual(['a', 'b', 'c']);
    expect(plan.targets.map(({ reason }) => reason)).toEqual(['weight', 'fallback', 'fallback']);
    expect(providersOf(routes.plan(a, request(), { principal: ANN }))).toEqual(['pa', 'pb', 'ps', 'pc']);
  });

  it('end somewhere', () => {
    const models = Array.from({ length: 30 }, (_, index) =>
      model(`m${index}`, [target(`p${index}`)], [`m${index + 1}`, 'm0']),
    );
    expect(planner(...models).plan(models[0]!, request(), { principal: ANN }).targets).toHaveLength(
      MAX_TARGETS,
    );
  });
});

describe('targets that can probably not serve', () => {
  it('go behind those that can: what they lack, then their window, then what may pass', () => {
    const blind = target('blind', { capabilities: { ...ALL, vision: false } });
    const small = target('small', { contextWindow: 1000 });
    const a = model('a', [blind], ['b', 'c', 'd', 'e']);
    const routes = planner(
      a,
      model('b', [small]),
      model('c', [target('open')]),
      model('d', [target('cooling')]),
      model('e', [target('well')]),
    );
    unavailable.set('open', 'breaker-open').set('cooling', 'cooldown');
    const image = { type: 'image_url', image_url: { url: 'https://x/y.png' } };
    const asked = request({ messages: [{ role: 'user', content: [image] }] });
    const plan = routes.plan(a, asked, { principal: ANN, inputTokensBound: 60_000 });
    expect(providersOf(plan)).toEqual(['well', 'open', 'cooling', 'small', 'blind']);
    expect(plan.targets.map(({ reason }) => reason)).toEqual([
      'fallback',
      'breaker-open',
      'cooldown',
      'context-window',
      'capability',
    ]);
  });

  it('stay in front when the bound is only a bound', () => {
    const a = model('a', [target('small', { contextWindow: 8192 })], ['b']);
    const routes = planner(a, model('b', [target('large')]));
    const places = (overrides: Partial<ChatRequest> = {}) =>
      providersOf(routes.plan(a, request(overrides), { principal: ANN, inputTokensBound: 4 * 8000 }));
    expect(places()).toEqual(['small', 'large']);
    expect(places({ max_tokens: 4000 })).toEqual(['large', 'small']);
  });

  it.each([
    ['tools', { tools: [{ type: 'function' }] }],
    ['tools', { functions: [{ name: 'f' }] }],
    ['jsonSchema', { response_format: { type: 'json_schema', json_schema: { name: 'n' } } }],
    ['reasoning', { reasoning_effort: 'high' }],
    ['documents', { messages: [{ role: 'user', content: [{ type: 'file', file: {} }] }] }],
    ['audioInput', { messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: {} }] }] }],
  ] as [keyof ModelCapabilities, Partial<ChatRequest>][])(
    'are told by the need for %s',
    (capability, wants) => {
      const a = model('a', [
        target('cannot', { capabilities: { ...ALL, [capability]: false } }),
        target('can', { weight: 0 }),
      ]);
      const routes = planner(a);
      expect(providersOf(routes.plan(a, request(wants), { principal: ANN }))).toEqual(['can', 'cannot']);
      const without = request({ tools: [], functions: [], reasoning_effort: 'none' });
      expect(providersOf(routes.plan(a, without, { principal: ANN }))).toEqual(['cannot', 'can']);
    },
  );
});

describe('any plan (property)', () => {
  it('has every target of the model at most once, the asked model’s own unless they stand badly, and never one too many', () => {
    const anyTarget = fc.record({
      provider: fc.constantFrom('p', 'q', 'r', 's'),
      weight: fc.nat(3),
      contextWindow: fc.constantFrom(1000, 100_000),
      tools: fc.boolean(),
    });
    const anyModels = fc.array(
      fc.record({
        targets: fc.uniqueArray(anyTarget, {
          minLength: 1,
          maxLength: 4,
          selector: ({ provider }) => provider,
        }),
        fallbacks: fc.array(fc.constantFrom('m0', 'm1', 'm2', 'm3', 'm9'), { maxLength: 4 }),
      }),
      { minLength: 4, maxLength: 4 },
    );
    const down = fc.uniqueArray(fc.constantFrom('p', 'q', 'r', 's'));
    fc.assert(
      fc.property(
        anyModels,
        down,
        fc.option(fc.string()),
        fc.boolean(),
        (drafts, broken, stickyKey, tools) => {
          unavailable = new Map(broken.map((provider) => [provider, 'breaker-open']));
          const models = drafts.map(({ targets, fallbacks }, index) =>
            model(
              `m${index}`,
              targets.map((draft) =>
                target(draft.provider, {
                  ...draft,
                  upstreamModel: `u${index % 2}`,
                  capabilities: { ...ALL, tools: draft.tools },
                }),
              ),
              fallbacks,
            ),
          );
          const asked = models[0]!;
          const plan = planner(...models).plan(
            asked,
            request(tools ? { tools: [{ type: 'function' }] } : {}),
            {
              principal: ANN,
              stickyKey: stickyKey ?? undefined,
              inputTokensBound: 12_000,
            },
          );
          const ids = plan.targets.map(({ provider, upstreamModel }) => `${provider}/${upstreamModel}`);
          expect(new Set(ids).size).toBe(ids.length);
          expect(ids.length).toBeLessThanOrEqual(MAX_TARGETS);
          expect(ids.length).toBeGreaterThanOrEqual(Math.min(MAX_TARGETS, 1));
          const stands = plan.targets.map(
            (planned) =>
              (tools && !planned.capabilities.tools ? 4 : 0) +
              (planned.contextWindow < 2000 ? 2 : 0) +
              (broken.includes(planned.provider as 'p') ? 1 : 0),
          );
          expect(stands).toEqual([...stands].sort((first, second) => first - second));
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('explain', () => {
  it('tells the place, the reason and what is known of each target', () => {
    const a = model('a', [target('p')], ['b']);
    const routes = planner(a, model('b', [target('q', { contextWindow: 5 })]));
    unavailable.set('p', 'cooldown');
    latencies.note('q', 'm', 'whole', 120);
    const explained = routes.explain(routes.plan(a, request(), { principal: ANN }));
    expect(explained).toMatchObject([
      {
        provider: 'q',
        model: 'b',
        reason: 'fallback',
        availability: 'ok',
        latency_ms: { stream: null, whole: 120 },
      },
      {
        provider: 'p',
        model: 'a',
        reason: 'cooldown',
        availability: 'cooldown',
        latency_ms: { stream: null, whole: null },
      },
    ]);
  });
});
