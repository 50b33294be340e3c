import { existsSync, globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { ROOT } from './runtime-packages.js';

const SKIPPED = /(^|\/)(node_modules|dist|data|coverage|\.git)(\/|$)/;

it('every relative link and anchor of the documents leads somewhere', () => {
  const files = globSync('{,.github/**/,deployments/**/,libs/**/,src/**/,test/**/}*.md', { cwd: ROOT });
  const dead: string[] = [];
  let checked = 0;
  for (const file of files.filter((name) => !SKIPPED.test(name))) {
    const here = new URL(file, ROOT);
    for (const [, target = ''] of prose(readFileSync(here, 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      checked++;
      const there = new URL(target, here);
      const anchor = decodeURIComponent(there.hash.slice(1));
      there.hash = '';
      const exists = existsSync(fileURLToPath(there));
      if (!exists || (anchor !== '' && !anchorsIn(readFileSync(there, 'utf8')).has(anchor)))
        dead.push(`${file}: ${target}`);
    }
  }
  expect(dead).toEqual([]);
  expect(checked).toBeGreaterThan(30);
});

/** What is in code is no link, and no heading. */
function prose(markdown: string): string {
  return markdown.replaceAll(/^ *```[^]*?^ *```/gm, '');
}

/** As GitHub makes them of the headings. */
function anchorsIn(markdown: string): Set<string> {
  const headings = [...prose(markdown).matchAll(/^#{1,6} +(.+)$/gm)].map(([, text = '']) => text);
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}
