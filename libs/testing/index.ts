export * from './eventually.js';
export * from './fake-upstream/fake-upstream.js';
export * from './fault-proxy.js';
export * from './free-port.js';
export * from './gateway.js';
export * from './postgres.js';
export * from './redis.js';
export * from './tokens.js';
export type * from './fake-upstream/script.js';
