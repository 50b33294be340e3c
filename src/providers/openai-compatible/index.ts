export { createOpenAiCompatible } from './openai-compatible.config.js';
