import type { Answer, BuiltInSettings, RecordedRequest } from './script.js';
import { anthropicAnswer } from './anthropic-answers.js';
import { googleAnswer } from './google-answers.js';
import { openaiAnswer } from './openai-answers.js';

/** What the vendor would plausibly answer; the same request always gets the same answer. */
export function builtInAnswer(request: RecordedRequest, settings: BuiltInSettings): Answer {
  const answer = answerOf(request, settings);
  return {
    ...answer,
    ...(settings.delayMs ? { delayMs: settings.delayMs } : {}),
    ...(settings.chunkDelayMs && request.stream ? { chunkDelayMs: settings.chunkDelayMs } : {}),
  };
}

function answerOf(request: RecordedRequest, settings: BuiltInSettings): Answer {
  switch (request.vendor) {
    case 'openai':
      return openaiAnswer(request, settings);
    case 'anthropic':
      return anthropicAnswer(request, settings);
    case 'google':
      return googleAnswer(request, settings);
    case undefined:
      return { status: 404, body: { json: { error: { message: `no such path: ${request.path}` } } } };
  }
}
