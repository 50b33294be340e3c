import type { ChatRequest, Usage } from '@app/contracts';
import { countTokens } from '../../billing/quote/count-tokens.js';

/**
 * Usage by our own count, for an answer without the provider's (the client left, or the provider reports none). Counted with
 * OpenAI's o200k encoding, whatever the model: exact for OpenAI, a few percent off for others. What the provider did report
 * is kept (Anthropic reports the input at the start).
 */
export async function ownUsage(
  request: ChatRequest,
  outputText: string,
  reported: Usage | undefined,
): Promise<Usage> {
  const outputTokens = Math.max(await countTokens(outputText, ENCODING), reported?.outputTokens ?? 0);
  if (reported && reported.inputTokens > 0) return { ...reported, outputTokens };
  return {
    inputTokens:
      (await countTokens(inputText(request), ENCODING)) + MESSAGE_OVERHEAD_TOKENS * request.messages.length,
    outputTokens,
  };
}

const ENCODING = 'o200k_base';

/** OpenAI frames every message with about this many tokens. */
const MESSAGE_OVERHEAD_TOKENS = 4;

function inputText(request: ChatRequest): string {
  const texts: string[] = [];
  for (const message of request.messages) {
    if (typeof message.content === 'string') texts.push(message.content);
    else {
      for (const part of message.content ?? []) {
        if (part.type === 'text' && typeof part.text === 'string') texts.push(part.text);
      }
    }
    for (const call of message.tool_calls ?? [])
      texts.push(call.function?.name ?? '', call.function?.arguments ?? '');
  }
  if (request.tools) texts.push(JSON.stringify(request.tools));
  return texts.join('\n');
}
