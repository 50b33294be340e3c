/**
 * Everything that a model wrote in a message or a delta, for counting what its provider did not: reasoning, text, a refusal,
 * what was spoken, names and inputs of calls. What is no text is passed over, for nobody has checked it.
 */
export function writtenText(message: object): string {
  const { reasoning_content, content, refusal, audio, tool_calls, function_call } = fieldsOf(message);
  const own = [reasoning_content, content, refusal, fieldsOf(audio).transcript].map(textOf).join('');
  const calls: unknown[] = Array.isArray(tool_calls) ? tool_calls : [];
  return own + calls.map(calledText).join('') + inputText(function_call);
}

/** A call of a function has arguments, one of a custom tool an input. */
function calledText(call: unknown): string {
  const { function: called, custom } = fieldsOf(call);
  return inputText(called) + inputText(custom);
}

function inputText(called: unknown): string {
  const { name, arguments: json, input } = fieldsOf(called);
  return textOf(name) + textOf(json) + textOf(input);
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
