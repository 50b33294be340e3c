import { defineConfig, mergeConfig } from 'vitest/config';
import root from '../../vitest.config.js';

/**
 * What a deployment consists of, against the real programs: `npm run test:deployment`. Needs on PATH what each file asks for
 * (nginx, PostgreSQL's client, logrotate, …); a missing program fails its test with an instruction. `verify` runs the quick files.
 */
export default defineConfig({
  ...mergeConfig({ resolve: resolveOf(root) }, {}),
  test: {
    name: 'deployment',
    include: ['test/deployment/**/*.deploy-spec.ts'],
    environment: 'node',
    globalSetup: ['test/global-setup.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});

/** The libraries' aliases, as the other projects have them. */
function resolveOf(config: unknown): object {
  const { test } = Object(config) as { test?: { projects?: { resolve?: object }[] } };
  return test?.projects?.[0]?.resolve ?? {};
}
