import { describe, expect, it } from 'vitest';
import { nodeVersionFault } from './node-version.js';

describe('nodeVersionFault', () => {
  it.each(['24.15.0', '24.15.1', '24.20.3', '25.0.0', '26.10.0'])('accepts %s', (version) =>
    expect(nodeVersionFault(version)).toBeUndefined(),
  );
  it.each(['18.19.0', '20.20.2', '22.22.3', '24.14.9', '24.0.0'])(
    'refuses %s and says what to do',
    (version) => {
      expect(nodeVersionFault(version)).toMatch(/24\.15/);
      expect(nodeVersionFault(version)).toMatch(/npm ci/);
    },
  );
});
