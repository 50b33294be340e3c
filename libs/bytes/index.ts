export * from './as-buffer.js';
export * from './gathered-bytes.js';
