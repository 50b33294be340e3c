import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PROVIDERS } from '../providers/provider-strategies.js';
import { declaredNames } from './environment-fields.js';
import { parseEnvironmentFile } from './environment-file.js';
import { Environment, readEnvironmentVariables } from './environment.js';
import { loadConfiguration } from './load-configuration.js';
import { providerVariables } from './provider-variables.js';

const content = readFileSync(new URL('../../.env.example', import.meta.url));
const variables = parseEnvironmentFile(content);
const known = [...declaredNames(), ...providerVariables(PROVIDERS)];

/** The comment lines right above each variable. */
function comments(): Map<string, string> {
  const found = new Map<string, string>();
  let above: string[] = [];
  for (const line of content.toString().split('\n')) {
    const name = /^([A-Z0-9_]+)=/.exec(line)?.[1];
    if (name) found.set(name, above.join(' '));
    above = line.startsWith('#') ? [...above, line] : [];
  }
  return found;
}

describe('.env.example', () => {
  it('has every variable, and no other', () => {
    expect(Object.keys(variables).toSorted()).toEqual(known.toSorted());
  });

  it('says unit, default and reader of each', () => {
    for (const [name, comment] of comments()) {
      expect(comment, name).toMatch(/Default: \S{2,}|Default: \d/);
      expect(comment, name).toMatch(/Read by: /);
    }
    expect(comments().size).toBe(known.length);
  });

  it('shows the real defaults', () => {
    expect(readEnvironmentVariables(variables)).toEqual({ environment: new Environment(), faults: [] });
    for (const name of providerVariables(PROVIDERS)) expect(variables[name]).toBe('');
  });

  it('starts as it is', () => {
    expect(loadConfiguration(variables, { createSecret: false }).providerSettings.has('echo')).toBe(true);
  });
});
