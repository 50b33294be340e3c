export * from './chat-request.js';
export * from './chat-completion.js';
export * from './usage.js';
export * from './model-card.js';
export * from './gateway-error.js';
export * from './provider-strategy.js';
export * from './ready-events.js';
export * from './call-signal.js';
