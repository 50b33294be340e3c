import { parseJson } from '../translation/parse-json.js';
import { badResponse } from './openai-compatible.errors.js';
import { argumentText, newToolCallId } from './openai-compatible.message.js';
import { asObject, asText, type WireObject } from './openai-compatible.wire.js';

/** More than any model makes at once: to find one takes as many steps. */
const MAX_CALLS = 1000;

interface BegunCall {
  /** The client's. */
  readonly index: number;
  /** The server's, if it gives any. */
  readonly wireIndex: unknown;
  /** The client has its id, and its name if it has one. */
  isIntroduced: boolean;
  /** All of its arguments came with its name. */
  isWhole: boolean;
  wireId: string | undefined;
  name: string | undefined;
  /** What came before its name. */
  held: WireObject | undefined;
  /** The client has no arguments of it yet. Only of a function. */
  isEmpty: boolean;
}

/**
 * The tool calls of one choice, in OpenAI's form whatever the server's: the first delta of a call has its id, type and
 * name, the later ones its index and a piece of the arguments. Clients append what comes twice, want the name at once, and
 * use the index as that of a list, so it has no gaps.
 */
export class ToolCallDeltas {
  /** Some delta differs from the server's: the server's text must not be passed on as it is. */
  retold = false;
  #calls: BegunCall[] = [];
  #empty = 0;
  #current: BegunCall | undefined;

  get any(): boolean {
    return this.#calls.length > 0;
  }

  /** @returns `undefined` for a call whose name has not come yet: the AI SDK takes no call without one */
  normalise(given: WireObject): WireObject | undefined {
    const known = this.#knownCall(given);
    const call = known ?? this.#begin(given);
    this.#current = call;
    if (call.isIntroduced) return this.#fill(call, continued(given, call));
    call.wireId ??= asText(given.id);
    const wire = call.held ? joined(call.held, given) : given;
    if (isUnnamed(wire)) {
      call.held = wire;
      this.retold = true;
      return undefined;
    }
    if (!introduces(wire)) return known ? continued(wire, call) : { ...wire, index: call.index };
    return this.#introduce(wire, call);
  }

  /** Whether the next arguments are the first of some call: these must not be missed. */
  get hasEmpty(): boolean {
    return this.#empty > 0;
  }

  /** There may be a `rest`. */
  get lacking(): boolean {
    return this.#empty > 0 || this.#calls.some((call) => call.held);
  }

  /**
   * The last deltas: of calls that never got a name, and of those without arguments, for which clients want `{}`.
   *
   * @param isCut  the answer was cut short: arguments were still to come
   */
  rest(isCut: boolean): WireObject[] {
    return this.#calls.flatMap((call) => {
      if (call.held) return [introduced(call.held, call)];
      const piece = { index: call.index, function: { arguments: '{}' } };
      return call.isEmpty && !isCut ? [this.#fill(call, piece)] : [];
    });
  }

  #introduce(wire: WireObject, call: BegunCall): WireObject {
    const told = introduced(wire, call);
    call.isEmpty = asObject(told.function)?.arguments === '';
    if (call.isEmpty) this.#empty += 1;
    return told;
  }

  #fill(call: BegunCall, told: WireObject): WireObject {
    if (call.isEmpty && asObject(told.function)?.arguments) {
      call.isEmpty = false;
      this.#empty -= 1;
    }
    return told;
  }

  /** Ollama gave all calls the index 0, other servers give none: then another id, or a name, begins a call. */
  #knownCall(wire: WireObject): BegunCall | undefined {
    const isNamed = nameIn(wire) !== undefined;
    if (typeof wire.index === 'number') {
      const known = this.#calls.findLast((call) => call.wireIndex === wire.index);
      return known && isNamed && isAnother(wire, known) ? undefined : known;
    }
    const id = asText(wire.id);
    const named = id === undefined ? undefined : this.#calls.findLast((call) => call.wireId === id);
    return named ?? (isNamed && !this.#current?.held ? undefined : this.#current);
  }

  #begin(wire: WireObject): BegunCall {
    if (this.#calls.length >= MAX_CALLS)
      throw badResponse('The provider sent more tool calls than any model makes.');
    const call: BegunCall = {
      index: this.#calls.length,
      wireIndex: wire.index,
      isIntroduced: false,
      isWhole: isWhole(wire),
      wireId: undefined,
      name: undefined,
      held: undefined,
      isEmpty: false,
    };
    if (typeof wire.index === 'number' && wire.index !== call.index) this.retold = true;
    this.#calls.push(call);
    return call;
  }
}

/** Whether it is another call under a known index: Gemini's endpoint gives parallel calls one index, and once gave no ids. */
function isAnother(wire: WireObject, known: BegunCall): boolean {
  const id = asText(wire.id);
  if (id !== undefined && known.wireId !== undefined) return id !== known.wireId;
  return known.isWhole && isWhole(wire);
}

function isWhole(wire: WireObject): boolean {
  const text = argumentText(asObject(wire.function)?.arguments);
  return text.startsWith('{') && text.endsWith('}') && parseJson(text) !== undefined;
}

function joined(held: WireObject, wire: WireObject): WireObject {
  const [before, called] = [asObject(held.function), asObject(wire.function)];
  const text = argumentText(before?.arguments) + argumentText(called?.arguments);
  return { ...held, ...wire, id: held.id ?? wire.id, function: { ...before, ...called, arguments: text } };
}

/** It has an id, but no name yet, and may be of a function: calls of other types have no name. */
function isUnnamed(wire: WireObject): boolean {
  const isFunction =
    asObject(wire.function) !== undefined || (asText(wire.type) ?? 'function') === 'function';
  return asText(wire.id) !== undefined && isFunction && nameIn(wire) === undefined;
}

function introduces(wire: WireObject): boolean {
  return nameIn(wire) !== undefined || asText(wire.id) !== undefined;
}

function introduced(wire: WireObject, call: BegunCall): WireObject {
  const called = asObject(wire.function);
  call.isIntroduced = true;
  call.name = nameIn(wire);
  call.held = undefined;
  return {
    ...wire,
    index: call.index,
    id: call.wireId ?? newToolCallId(),
    type: asText(wire.type) ?? (asObject(wire.custom) ? 'custom' : 'function'),
    ...(called ? { function: { ...called, arguments: argumentText(called.arguments) } } : {}),
  };
}

function continued(wire: WireObject, call: BegunCall): WireObject {
  const { id: _id, type: _type, ...rest } = wire;
  const called = asObject(wire.function);
  return { ...rest, index: call.index, ...(called ? { function: withoutKnownName(called, call) } : {}) };
}

function withoutKnownName({ name, ...called }: WireObject, call: BegunCall): WireObject {
  const text = asText(name);
  const isNew = text !== undefined && text !== call.name;
  if (isNew) call.name ??= text;
  const said = called.arguments === undefined ? {} : { arguments: argumentText(called.arguments) };
  return { ...called, ...(isNew ? { name: text } : {}), ...said };
}

function nameIn(wire: WireObject): string | undefined {
  return asText(asObject(wire.function)?.name) ?? asText(asObject(wire.custom)?.name);
}
