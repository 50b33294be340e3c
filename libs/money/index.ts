export * from './nano-usd.js';
export * from './price-card.js';
export * from './price-card-json.js';
export * from './price-usage.js';
export * from './tool-names.js';
export * from './worst-case.js';
