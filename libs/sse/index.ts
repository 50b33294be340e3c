export * from './sse-decoder.js';
export * from './sse-events.js';
export * from './encode-sse.js';
