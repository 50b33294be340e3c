/** Runs in the browser: elements. Text is always set as text, never as HTML. */
import type { PageDocument, PageElement } from './browser.js';
import { sparkline } from './figures.js';

declare const document: PageDocument;

export type Cell = PageElement | string;

const TONES: Readonly<Record<string, string>> = {
  up: 'good',
  healthy: 'good',
  closed: 'good',
  degraded: 'warn',
  half_open: 'warn',
  draining: 'warn',
  down: 'bad',
  unhealthy: 'bad',
  open: 'bad',
};

/** Colour never stands alone: the word is in it. */
export function pill(word: string): PageElement {
  return element('span', `pill ${tone(word)}`, word.replace('_', ' '));
}

export function tone(word: string): string {
  return TONES[word] ?? '';
}

export function tile(
  label: string,
  value: string,
  options: { trend?: readonly number[]; tone?: 'bad' | 'warn' | undefined } = {},
): PageElement {
  const box = element('div', options.tone ? `tile ${options.tone}` : 'tile');
  box.append(element('span', 'quiet', label), element('b', '', value));
  if (options.trend?.some((value) => value > 0) && options.trend.length > 1)
    box.append(trendLine(options.trend));
  return box;
}

/** A cell for figures, which stand to the right. */
export function number(text: string): PageElement {
  return element('span', 'number', text);
}

/** On a phone each row becomes a block, and each cell names its column: see ops.css. */
export function table(headings: readonly string[], rows: readonly Cell[][], empty: string): PageElement {
  if (rows.length === 0) return element('p', 'empty', empty);
  const head = element('tr');
  headings.forEach((heading, index) => {
    const cell = element('th', isNumber(rows[0]?.[index]) ? 'number' : '', heading);
    cell.setAttribute('scope', 'col');
    head.append(cell);
  });
  const top = element('thead');
  top.append(head);
  const body = element('tbody');
  body.append(...rows.map((cells) => tableRow(headings, cells)));
  const whole = element('table');
  whole.append(top, body);
  return whole;
}

export function element(tag: string, className = '', text?: string): PageElement {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function tableRow(headings: readonly string[], cells: readonly Cell[]): PageElement {
  const row = element('tr');
  cells.forEach((content, index) => {
    const cell = element(index === 0 ? 'th' : 'td');
    if (index === 0) cell.setAttribute('scope', 'row');
    if (isNumber(content)) cell.className = 'number';
    cell.setAttribute('data-column', headings[index] ?? '');
    cell.append(content);
    row.append(cell);
  });
  return row;
}

function isNumber(content: Cell | undefined): boolean {
  return typeof content === 'object' && content.className === 'number';
}

function trendLine(values: readonly number[]): PageElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 100 24');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', sparkline(values));
  svg.append(path);
  return svg;
}
