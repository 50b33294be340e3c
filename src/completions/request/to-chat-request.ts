import { type ChatRequest, GatewayError } from '@app/contracts';
import { type ValidationError, validateSync } from 'class-validator';
import { ChatCompletionRequestDto } from './chat-completion-request.dto.js';
import { compileRules } from './compiled-rules.js';

const isRight = compileRules(ChatCompletionRequestDto);

/**
 * Body -> ChatRequest. The request is the client's own object, field for field: it is checked by the rules of the DTO class,
 * and nothing is converted, defaulted or dropped.
 *
 * Called by the controller, and not a pipe of Nest's: the pipes of each parameter cost a round of promises.
 *
 * @throws GatewayError `invalid_body`, with the field in `param`
 */
export function toChatRequest(body: unknown): ChatRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new GatewayError('invalid_body', 'The body must be a JSON object.');
  }
  // class-validator looks up its rules by this property: a body must not say which rules are its own.
  if (Object.hasOwn(body, 'constructor')) {
    throw new GatewayError('invalid_body', 'The key constructor is not accepted.', { param: 'constructor' });
  }
  // The boundary: the rules have looked at every field that the type names.
  if (isRight(body)) return body as ChatRequest;
  const dto = Object.assign(new ChatCompletionRequestDto(), body);
  const [first] = validateSync(dto, { validationError: { target: false, value: false } });
  if (first) throw toGatewayError(first);
  return dto;
}

function toGatewayError(fault: ValidationError): GatewayError {
  // Decorators run from the bottom up, so the last constraint is the one written first: the field's type.
  const message = Object.values(fault.constraints ?? {}).at(-1) ?? 'is not valid';
  const [path, problem] = message.includes('\u0000') ? message.split('\u0000') : ['', undefined];
  const param = `${fault.property}${path ?? ''}`;
  const text = problem === undefined ? message : `${param} ${problem}`;
  return new GatewayError('invalid_body', `${text}.`, { param });
}
