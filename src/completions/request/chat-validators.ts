import { ValidateBy } from 'class-validator';
import {
  checkFunctions,
  checkMessages,
  checkStop,
  checkToolChoice,
  checkTools,
  type Fault,
} from './check-chat.js';

/** Wraps a compiled check (see check-chat.ts) as a class-validator constraint; its fault is read by the pipe. */
function byCheck(name: string, check: (value: unknown) => Fault | undefined): () => PropertyDecorator {
  return () =>
    ValidateBy({
      name,
      validator: {
        validate: (value: unknown) => check(value) === undefined,
        defaultMessage: (validation) => {
          const fault = check(validation?.value);
          return fault ? `${fault.path}\u0000${fault.problem}` : '';
        },
      },
    });
}

export const IsMessageList = byCheck('isMessageList', checkMessages);
export const IsToolList = byCheck('isToolList', checkTools);
export const IsToolChoice = byCheck('isToolChoice', checkToolChoice);
export const IsFunctionList = byCheck('isFunctionList', checkFunctions);
export const IsStopList = byCheck('isStopList', checkStop);
