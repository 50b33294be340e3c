/** Runs in the browser: asks the API every few seconds and shows what it says. */
import type { Health, Summary } from './answers.js';
import type { PageDocument, PageElement, PageStorage } from './browser.js';
import {
  completeBreakers,
  completeDetailed,
  completePast,
  completeSummary,
  completeSystem,
} from './complete.js';
import { count, duration } from './figures.js';
import { notReachable, type Problem, problems } from './problems.js';
import { tone } from './tables.js';
import { TrafficWindow } from './traffic-window.js';
import {
  componentsTable,
  countsTable,
  historyBars,
  historyText,
  liveTiles,
  moneyTiles,
  problemList,
  providersTable,
  systemTiles,
  trafficTable,
} from './views.js';

declare const document: PageDocument;
declare const sessionStorage: PageStorage;

const INTERVAL_MS = 5_000;
/** What has not answered by then is told as not reachable. */
const TIMEOUT_MS = 8_000;
const HISTORY = 60;
const TOKEN = 'gateway-admin-token';
const TITLE = 'LLM Gateway operations';
const ADMIN_PARTS = ['live', 'money-section', 'traffic-section', 'errors-section'];

const traffic = new TrafficWindow();
let timer: ReturnType<typeof setTimeout> | undefined;
let answeredAt: Date | undefined;

class Refused extends Error {
  constructor(readonly status: number) {
    super(`HTTP ${status}`);
  }
}

function part(id: string): PageElement {
  const found = document.querySelector(`#${id}`);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** Only when it changed: what is announced would be announced again. */
function setText(id: string, text: string): void {
  const place = part(id);
  if (place.textContent !== text) place.textContent = text;
}

async function get(path: string, token?: string): Promise<unknown> {
  const response = await fetch(path, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
  });
  if (!response.ok) throw new Refused(response.status);
  return response.json();
}

async function refresh(): Promise<void> {
  clearTimeout(timer);
  try {
    if (!document.hidden) {
      const [health, isTold] = await Promise.all([readHealth(), readTraffic()]);
      if (health) show(health, isTold);
      else showUnreachable();
    }
  } finally {
    clearTimeout(timer); // of another refresh that ran meanwhile
    timer = setTimeout(() => void refresh(), INTERVAL_MS);
  }
}

async function readHealth(): Promise<Health | undefined> {
  try {
    const [detailed, breakers, past, system] = await Promise.all([
      get('/health/detailed').then(completeDetailed),
      get('/health/circuit-breakers').then(completeBreakers),
      get(`/health/history?limit=${HISTORY}`).then(completePast),
      get('/health/system').then(completeSystem),
    ]);
    return { detailed, breakers, past, system };
  } catch {
    return undefined;
  }
}

/** @returns why traffic and money could not be read; `undefined` when they were, or when nobody is signed in */
async function readTraffic(): Promise<string | undefined> {
  const token = sessionStorage.getItem(TOKEN);
  showSignedIn(token !== null);
  if (token === null) return undefined;
  try {
    traffic.add(completeSummary(await get('/admin/ops/summary', token)), Date.now());
    return undefined;
  } catch (error) {
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) signOut(error.status);
    return error instanceof Refused ? error.message : 'no answer';
  }
}

function show(health: Health, fault: string | undefined): void {
  const { detailed, breakers, past, system } = health;
  answeredAt = new Date();
  const found = problems(health, traffic);
  const word = detailed.draining ? 'draining' : detailed.status;
  showStatus(word, worst(tone(word), found), found.length);
  setText('updated', `updated ${answeredAt.toLocaleTimeString()}`);
  part('stale').hidden = fault === undefined || sessionStorage.getItem(TOKEN) === null;
  setText('stale', `Traffic and money could not be read (${fault}); the figures below are older.`);
  part('problems').replaceChildren(...problemList(found));
  part('providers').replaceChildren(providersTable(detailed, breakers, traffic.latest));
  part('components').replaceChildren(componentsTable(detailed));
  part('history').replaceChildren(...historyBars(past));
  setText('history-text', historyText(past));
  part('system').replaceChildren(...systemTiles(system));
  setText('build', detailed.version);
  if (traffic.latest) showTraffic(traffic.latest);
  showSignedIn(sessionStorage.getItem(TOKEN) !== null);
}

function showTraffic(now: Summary): void {
  const workers = now.workers === 1 ? '1 worker' : `${count(now.workers)} workers`;
  setText('build', `${now.version} · ${now.environment} · ${workers}`);
  setText('live-title', traffic.seconds === 0 ? 'Now' : `Last ${duration(traffic.seconds)}`);
  part('tiles').replaceChildren(...liveTiles(traffic, now));
  part('money').replaceChildren(...moneyTiles(now));
  part('traffic').replaceChildren(trafficTable(now.models, now.currency));
  part('errors').replaceChildren(
    countsTable('Error code', now.errors),
    countsTable('Rate limit', now.rate_limits),
  );
}

/** What is shown stays: it is the last that is known. */
function showUnreachable(): void {
  showStatus('unreachable', 'bad', 0);
  part('stale').hidden = true;
  part('problems').replaceChildren(...problemList([notReachable(answeredAt)]));
}

function showStatus(word: string, colour: string, found: number): void {
  const text = found === 0 ? word : `${word} · problems: ${found}`;
  setText('status', text);
  part('status').className = `pill ${colour}`;
  document.title = text === 'healthy' ? TITLE : `${text} · ${TITLE}`;
}

/** The colour of the state, or of the problems where they are worse. */
function worst(colour: string, found: readonly Problem[]): string {
  if (found.length === 0 || colour === 'bad') return colour;
  return found.some(({ severity }) => severity === 'bad') ? 'bad' : 'warn';
}

function showSignedIn(isSignedIn: boolean): void {
  part('sign-in').hidden = isSignedIn;
  part('sign-out').hidden = !isSignedIn;
  for (const id of ADMIN_PARTS) part(id).hidden = traffic.latest === undefined || !isSignedIn;
}

function signOut(status: number): void {
  forgetToken();
  const reason =
    status === 403
      ? 'This token does not have the admin role.'
      : 'This token is not valid, or no longer valid.';
  setText('sign-in-error', reason);
  part('token').focus();
}

function forgetToken(): void {
  sessionStorage.removeItem(TOKEN);
  traffic.clear();
  showSignedIn(false);
}

part('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, part('token').value.trim());
  part('token').value = '';
  setText('sign-in-error', '');
  void refresh();
});
part('sign-out').addEventListener('click', forgetToken);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void refresh();
});

void refresh();
