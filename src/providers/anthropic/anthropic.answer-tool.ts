import { toArguments, type ToolFields } from './anthropic.tools.js';
import type { ModelTraits } from './anthropic.traits.js';
import type { UnsupportedParams } from '../translation/unsupported-params.js';
import { isObject, type JsonObject, type WireBlock } from './anthropic.wire.js';

/** A `response_format` of type `json_schema`. */
export interface AskedFormat {
  readonly schema: JsonObject;
  /** Empty: none. */
  readonly description: string;
}

/** Other parts of the request that decide whether a tool can carry the answer. */
interface Beside {
  readonly tools: ToolFields;
  readonly mcpServers: unknown;
  readonly thinking: unknown;
}

const NAME = 'answer';
const DESCRIPTION = 'Gives your answer to the user, in the form that they asked for.';

/**
 * Asks a model without structured outputs for JSON that fits a schema: as the input of a tool that it has to call. Nothing
 * enforces the schema, but these models keep to it.
 *
 * @returns `undefined` when the format is to be left out
 * @throws GatewayError  `unsupported_parameter` where the model has no tools or cannot be made to call this one
 */
export function toAnswerTool(
  { schema, description }: AskedFormat,
  traits: ModelTraits,
  beside: Beside,
  unsupported: UnsupportedParams,
): ToolFields | undefined {
  const problem = traits.textOnly
    ? 'is not supported by this model'
    : (problemBeside(beside) ?? problemOf(schema));
  if (problem !== undefined) {
    unsupported.refuse('response_format', `of the type json_schema ${problem}`);
    return undefined;
  }
  const tool = {
    name: NAME,
    description: [DESCRIPTION, description].filter(Boolean).join('\n\n'),
    input_schema: { ...schema, type: 'object' },
  };
  return {
    // The client's own tools, which may not be called here (`tool_choice: none`), are left out: one may have this name.
    tools: [tool],
    tool_choice: { type: 'tool', name: NAME, disable_parallel_tool_use: true },
  };
}

function problemBeside({
  tools: { tools, tool_choice: choice },
  mcpServers,
  thinking,
}: Beside): string | undefined {
  if ((tools && choice?.type !== 'none') || mcpServers !== undefined)
    return 'cannot be combined with tools on this model';
  return isObject(thinking) && thinking.type !== 'disabled'
    ? 'cannot be combined with reasoning on this model'
    : undefined;
}

const ALTERNATIVES = ['anyOf', 'oneOf', 'allOf'];

/** A call's input is an object, and Anthropic allows no alternatives at its top level. OpenAI accepts neither for any answer. */
function problemOf({ type, ...schema }: JsonObject): string | undefined {
  const isObjects = (type === undefined || type === 'object') && !ALTERNATIVES.some((name) => name in schema);
  return isObjects
    ? undefined
    : 'must have a schema of the type object, without anyOf at its top, for this model';
}

/**
 * The answer of such a model as if it had been text: the input of the call. Text beside the call is left out, because the answer
 * would not be JSON with it (Anthropic says there is none). Without a call, as in a refusal, the answer is the model's text.
 */
export function asText(content: readonly WireBlock[]): readonly WireBlock[] {
  const answer = content.find(isCall);
  if (!answer) return content;
  return content.flatMap((block) => {
    if (block === answer) return [{ type: 'text', text: toArguments(block.input) }];
    return block.type === 'text' || isCall(block) ? [] : [block];
  });
}

function isCall({ type }: WireBlock): boolean {
  return type === 'tool_use';
}
