export * from './price-card.js';
