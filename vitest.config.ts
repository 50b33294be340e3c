import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const library = (name: string) => fileURLToPath(new URL(`./libs/${name}/index.ts`, import.meta.url));

const shared = {
  resolve: {
    alias: {
      '@app/bytes': library('bytes'),
      '@app/contracts': library('contracts'),
      '@app/money': library('money'),
      '@app/sse': library('sse'),
      '@app/testing': library('testing'),
    },
  },
};

export default defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      {
        ...shared,
        test: {
          name: 'unit',
          include: [
            'src/**/*.spec.ts',
            'libs/**/*.spec.ts',
            'test/fuzz/**/*.spec.ts',
            'test/bench/**/*.spec.ts',
            'test/chaos/**/*.spec.ts',
            'test/security/**/*.spec.ts',
            'deployments/**/*.spec.ts',
          ],
          environment: 'node',
          // Property tests run thousands of cases; a slow or busy machine is no fault of theirs.
          testTimeout: 60_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'integration',
          include: ['test/integration/**/*.int-spec.ts'],
          environment: 'node',
          globalSetup: ['test/global-setup.ts'],
          testTimeout: 90_000,
          hookTimeout: 120_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.e2e-spec.ts'],
          environment: 'node',
          globalSetup: ['test/global-setup.ts'],
          testTimeout: 90_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
