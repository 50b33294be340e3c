import { ProviderError } from '@app/contracts';
import { TerminusModule } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Telemetry } from '../telemetry/telemetry.js';
import type { BreakerSnapshot } from '../providers/resilience/target-breaker.js';
import { CircuitBreakerReport } from './circuit-breaker-report.js';
import { DrainState } from './drain-state.js';
import type { ComponentHealth, HealthProbe } from './health-probe.js';
import { HealthProbes } from './health-probes.js';
import { HealthChecks, overall } from './health-checks.service.js';
import { HealthHistory, HISTORY_LENGTH } from './health-history.service.js';
import { reportComponents } from './health-report.js';
import { BillingJournalProbe } from './probes/billing-journal.probe.js';
import { DatabaseProbe } from './probes/database.probe.js';
import { ProviderProbe } from './probes/provider.probe.js';

const UP: ComponentHealth = { status: 'up', latencyMs: 1, details: {} };
const DOWN: ComponentHealth = { status: 'down', latencyMs: 1, details: {} };
const NEVER = new Promise<never>(() => {});

function probe(name: string, changes: Partial<HealthProbe> = {}): HealthProbe {
  return { name, critical: true, check: () => Promise.resolve(UP), ...changes };
}

let probes: HealthProbes;
let checks: HealthChecks;
let drain: DrainState;
let history: HealthHistory;
let telemetry: Telemetry;

beforeEach(async () => {
  const module = await Test.createTestingModule({
    imports: [TerminusModule.forRoot({ logger: false })],
    providers: [HealthProbes, HealthChecks, HealthHistory, DrainState, Telemetry],
  }).compile();
  probes = module.get(HealthProbes);
  checks = module.get(HealthChecks);
  drain = module.get(DrainState);
  history = module.get(HealthHistory);
  telemetry = module.get(Telemetry);
});

describe('readiness', () => {
  it('is lost while draining', async () => {
    probes.add(probe('database'));
    expect(await checks.readiness()).toMatchObject({ ready: true, draining: false });
    drain.draining = true;
    expect(await checks.readiness()).toMatchObject({ ready: false, draining: true });
  });

  it('is lost with a critical component, and asks no other', async () => {
    const optional = vi.fn(() => Promise.resolve(DOWN));
    probes.add(probe('cache', { critical: false, check: optional }));
    probes.add(probe('database'));
    expect((await checks.readiness()).ready).toBe(true);
    probes.add(probe('billing_journal', { check: () => Promise.resolve(DOWN) }));
    expect((await checks.readiness()).ready).toBe(false);
    expect(optional).not.toHaveBeenCalled();
  });

  it('is kept while a critical component is only degraded', async () => {
    probes.add(probe('database', { check: () => Promise.resolve({ ...UP, status: 'degraded' }) }));
    expect((await checks.readiness()).ready).toBe(true);
  });
});

describe('the gauge can_serve', () => {
  const canServe = () => [...telemetry.gauges()].find(({ name }) => name === 'can_serve')?.read();

  it('follows the background check, and readiness but for draining', async () => {
    let database: ComponentHealth = UP;
    probes.add(probe('database', { check: () => Promise.resolve(database), cacheMs: 0 }));
    probes.add(probe('cache', { critical: false, check: () => Promise.resolve(DOWN) }));
    await history.record();
    expect(canServe()).toBe(1);
    database = DOWN;
    await history.record();
    expect(canServe()).toBe(0);
    database = UP;
    drain.draining = true;
    expect((await checks.readiness()).ready).toBe(false);
    expect(canServe()).toBe(1);
  });
});

describe('a component that', () => {
  it('hangs is down within a second, and is not asked again while it hangs', async () => {
    const check = vi.fn(() => NEVER);
    probes.add(probe('database', { check, cacheMs: 0 }));
    const startedMs = performance.now();
    const [first] = await checks.everything();
    expect(performance.now() - startedMs).toBeLessThan(1_300);
    expect(first?.health).toMatchObject({ status: 'down', details: { error: 'no answer within 1000 ms' } });
    const againMs = performance.now();
    expect((await checks.everything())[0]?.health.status).toBe('down');
    expect(performance.now() - againMs).toBeLessThan(100);
    expect(check).toHaveBeenCalledTimes(1);
  });

  it('throws is down, and its message stays inside', async () => {
    const error = Object.assign(new Error('connect to postgres://me:secret@db failed'), {
      code: 'ECONNREFUSED',
    });
    probes.add(probe('database', { check: () => Promise.reject(error) }));
    const checked = await checks.everything();
    expect(checked[0]?.health.details).toEqual({ error: 'ECONNREFUSED' });
  });

  it('is asked by many is asked once', async () => {
    const check = vi.fn(() => new Promise<ComponentHealth>((resolve) => setTimeout(() => resolve(UP), 20)));
    probes.add(probe('database', { check }));
    await Promise.all(Array.from({ length: 50 }, () => checks.everything()));
    await checks.everything();
    expect(check).toHaveBeenCalledTimes(1);
  });

  it('hangs does not hold the others up', async () => {
    probes.add(probe('a', { check: () => NEVER }));
    probes.add(probe('b', { check: () => NEVER }));
    const startedMs = performance.now();
    await checks.everything();
    expect(performance.now() - startedMs).toBeLessThan(1_300);
  });
});

describe('the overall status', () => {
  const component = (status: ComponentHealth['status'], changes: Partial<HealthProbe> = {}) => ({
    probe: probe('x', changes),
    health: { ...UP, status },
  });

  it.each([
    ['healthy', [component('up'), component('up', { critical: false })]],
    ['degraded', [component('up'), component('down', { critical: false })]],
    ['degraded', [component('degraded')]],
    ['unhealthy', [component('down'), component('up')]],
    [
      'degraded',
      [
        component('up', { group: 'providers', critical: false }),
        component('down', { group: 'providers', critical: false }),
      ],
    ],
    ['unhealthy', [component('up'), component('down', { group: 'providers', critical: false })]],
  ] as const)('is %s', (status, components) => {
    expect(overall(components)).toBe(status);
  });

  it('shows members of a group under its name', () => {
    expect(
      reportComponents([component('up'), component('down', { group: 'providers', name: 'openai' })]),
    ).toMatchObject({
      x: { status: 'up' },
      providers: { openai: { status: 'down' } },
    });
  });
});

describe('the history', () => {
  it('has the newest first, and an end', async () => {
    probes.add(probe('database', { cacheMs: 0 }));
    for (let i = 0; i < HISTORY_LENGTH + 5; i++) await history.record();
    expect(history.latest(HISTORY_LENGTH + 100)).toHaveLength(HISTORY_LENGTH);
    const [newest, older] = history.latest(2);
    expect(Date.parse(newest?.timestamp ?? '')).toBeGreaterThanOrEqual(Date.parse(older?.timestamp ?? ''));
    expect(newest).toMatchObject({ status: 'healthy', components: { database: { status: 'up' } } });
  });

  it('never asks what can be told without asking', async () => {
    const check = vi.fn(() => Promise.resolve(UP));
    let known: ComponentHealth | undefined;
    probes.add(probe('openai', { group: 'providers', critical: false, check, glance: () => known }));
    await history.record();
    expect(history.latest(1)[0]?.components).toEqual({});
    known = DOWN;
    await history.record();
    expect(history.latest(1)[0]?.components).toMatchObject({ 'providers.openai': { status: 'down' } });
    expect(check).not.toHaveBeenCalled();
  });
});

describe('a provider', () => {
  const signal = () => new AbortController().signal;
  const breaker = (state: BreakerSnapshot['state'], model = 'gpt-4'): BreakerSnapshot => ({
    provider: 'openai',
    model,
    state,
    failures: state === 'open' ? 5 : 0,
    openedAt: state === 'open' ? new Date(0) : undefined,
    nextAttemptAt: undefined,
    lastFailure:
      state === 'open'
        ? { at: new Date(0), code: 'provider_overloaded', status: 503, connection: undefined }
        : undefined,
  });

  it('is asked at most every 30 s, and not while its circuit is open', async () => {
    const ask = vi.fn(() => Promise.resolve());
    let breakers = [breaker('closed')];
    const provider = new ProviderProbe(
      'openai',
      () => ask,
      () => breakers,
    );
    expect(await provider.check(signal())).toMatchObject({ status: 'up', details: { circuit: 'closed' } });
    await provider.check(signal());
    expect(ask).toHaveBeenCalledTimes(1);
    breakers = [breaker('open')];
    expect(await provider.check(signal())).toMatchObject({ status: 'down', details: { circuit: 'open' } });
    breakers = [breaker('open'), breaker('closed', 'gpt-3.5-turbo')];
    expect(await provider.check(signal())).toMatchObject({ status: 'degraded' });
    expect(ask).toHaveBeenCalledTimes(1);
  });

  it('whose circuit is open is not asked at all', async () => {
    const ask = vi.fn(() => Promise.resolve());
    const provider = new ProviderProbe(
      'openai',
      () => ask,
      () => [breaker('open')],
    );
    expect(await provider.check(signal())).toMatchObject({ status: 'down', details: { asked: false } });
    expect(ask).not.toHaveBeenCalled();
  });

  it('that refuses is down, with the code and not the message', async () => {
    const refusal = new ProviderError('provider_auth_failed', 'key sk-secret is bad', {
      processed: 'no',
      countsAsFailure: true,
      tryElsewhere: true,
    });
    const provider = new ProviderProbe(
      'openai',
      () => () => Promise.reject(refusal),
      () => [],
    );
    expect(await provider.check(signal())).toMatchObject({
      status: 'down',
      details: { error: 'provider_auth_failed' },
    });
    expect(provider.glance()).toMatchObject({ status: 'down' });
  });

  it('that cannot be asked for free counts as up until calls fail', async () => {
    const provider = new ProviderProbe(
      'echo',
      () => undefined,
      () => [],
    );
    expect(provider.glance()).toBeUndefined();
    expect(await provider.check(signal())).toMatchObject({
      status: 'up',
      details: { circuit: 'closed', asked: false },
    });
  });

  it('shows its worst breaker, and each model', () => {
    const report = new CircuitBreakerReport();
    report.readFrom({ snapshot: () => [breaker('closed', 'a'), breaker('open', 'b')] }, () => [
      'openai',
      'echo',
    ]);
    expect(report.current()).toMatchObject({
      openai: {
        state: 'open',
        failures: 5,
        opened_at: '1970-01-01T00:00:00.000Z',
        last_failure: {
          at: '1970-01-01T00:00:00.000Z',
          code: 'provider_overloaded',
          status: 503,
          connection: null,
        },
        models: { a: { state: 'closed', last_failure: null } },
      },
      echo: {
        state: 'closed',
        failures: 0,
        opened_at: null,
        next_attempt_at: null,
        last_failure: null,
        models: {},
      },
    });
  });
});

describe('the billing journal', () => {
  const journal = { isHealthy: true, directory: import.meta.dirname };
  const probeOf = (oldestSeconds: number, isFenced = false) =>
    new BillingJournalProbe(journal, { isFenced }, { pending: 3, oldestSeconds }).check();

  it('costs the instance its readiness when it cannot be written, or was declared dead', async () => {
    expect(await probeOf(0)).toMatchObject({ status: 'up', details: { unsettled_records: 3 } });
    expect((await probeOf(120)).status).toBe('degraded');
    expect((await probeOf(0, true)).status).toBe('down');
    journal.isHealthy = false;
    expect((await probeOf(0)).status).toBe('down');
    journal.isHealthy = true;
  });

  it('costs it, too, when its folder was taken away: the open files are written on, for nobody', async () => {
    const gone = { ...journal, directory: '/nowhere/journal' };
    const probe = new BillingJournalProbe(gone, { isFenced: false }, { pending: 0, oldestSeconds: 0 });
    expect(await probe.check()).toMatchObject({ status: 'down', details: { reason: 'its folder is gone' } });
  });
});

describe('the database probe', () => {
  const status = {
    ready: true,
    up: true,
    embedded: false,
    lastAnswerMs: 0,
    lastError: undefined,
    reason: undefined,
    lacksMigrations: false,
    pool: { total: 1, idle: 1, waiting: 0 },
  };
  const signal = () => new AbortController().signal;

  it('is down without the database, degraded while others can be served without it', async () => {
    const port = { ping: () => Promise.reject(new Error('gone')), status: () => status };
    expect((await new DatabaseProbe(port, () => false).check(signal())).status).toBe('down');
    expect((await new DatabaseProbe(port, () => true).check(signal())).status).toBe('degraded');
  });

  it('is degraded, not down, when a frozen database would not be missed', async () => {
    probes.add(new DatabaseProbe({ ping: () => NEVER, status: () => status }, () => true));
    expect((await checks.readiness()).ready).toBe(true);
  });

  it('says why: what the server answered to whoever asked, or that it answers nothing', async () => {
    const details = async (error: Error) =>
      (
        await new DatabaseProbe(
          { ping: () => Promise.reject(error), status: () => status },
          () => true,
        ).check(signal())
      ).details;
    const full = Object.assign(new Error('sorry, too many clients already'), { code: '53300' });
    expect(await details(new Error('down', { cause: full }))).toMatchObject({
      error: 'database_unavailable',
      reason: 'it has too many connections',
    });
    expect(await details(new Error('timeout expired'))).toMatchObject({ reason: 'it does not answer' });
  });

  it('is down while migrations are pending, whatever credit there is, but not with billing off', async () => {
    const port = {
      ping: () => Promise.resolve(1),
      status: () => ({ ...status, ready: false, lacksMigrations: true }),
    };
    expect(await new DatabaseProbe(port, () => true).check(signal())).toMatchObject({
      status: 'down',
      details: { migrated: false, reason: 'migrations are pending' },
    });
    expect(await new DatabaseProbe(port, () => true, false).check(signal())).toMatchObject({
      status: 'degraded',
      details: { migrated: false, reason: 'migrations are pending' },
    });
  });

  it('does not ask a database that was never there', async () => {
    const ping = vi.fn(() => Promise.resolve(1));
    const port = { ping, status: () => ({ ...status, ready: false }) };
    expect((await new DatabaseProbe(port, () => false).check(signal())).status).toBe('down');
    expect(ping).not.toHaveBeenCalled();
  });
});
