export * from './sse-decoder.js';
