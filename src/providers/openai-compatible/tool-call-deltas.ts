import { badResponse } from './openai-compatible.errors.js';
import { argumentText, newToolCallId } from './openai-compatible.message.js';
import { asObject, asText, type WireObject } from './openai-compatible.wire.js';

/** No model makes as many at once; looking one up costs as many steps. */
const MAX_CALLS = 1000;

interface BegunCall {
  /** As the client knows it. */
  readonly index: number;
  /** As the server says it, when it does. */
  readonly wireIndex: unknown;
  /** Its id or its name has come. */
  isIntroduced: boolean;
  wireId: string | undefined;
  name: string | undefined;
}

/**
 * The tool calls of one choice, in OpenAI's form whatever the server's: the first delta of a call has its id, type and
 * name, the later ones its index and a piece of the arguments. Clients join what is said twice.
 */
export class ToolCallDeltas {
  /** Some call has another index than the server gave it: the server's text must not be passed on as it is. */
  renumbered = false;
  #calls: BegunCall[] = [];
  #current: BegunCall | undefined;

  get any(): boolean {
    return this.#calls.length > 0;
  }

  normalise(wire: WireObject): WireObject {
    const known = this.#knownCall(wire);
    const call = known ?? this.#begin(wire);
    this.#current = call;
    if (call.isIntroduced || !introduces(wire))
      return known ? continued(wire, call) : { ...wire, index: call.index };
    call.isIntroduced = true;
    call.wireId = asText(wire.id);
    call.name = nameIn(wire);
    return introduced(wire, call);
  }

  /** Ollama gave each of several calls the index 0, others give none: then another id, or a name, begins a call. */
  #knownCall(wire: WireObject): BegunCall | undefined {
    const named = nameIn(wire) !== undefined;
    if (typeof wire.index !== 'number') return named ? undefined : this.#current;
    const known = this.#calls.findLast((call) => call.wireIndex === wire.index);
    const id = asText(wire.id);
    return named && id !== undefined && known?.wireId !== undefined && known.wireId !== id
      ? undefined
      : known;
  }

  #begin(wire: WireObject): BegunCall {
    if (this.#calls.length >= MAX_CALLS)
      throw badResponse('The provider sent more tool calls than any model makes.');
    const index = this.#freeIndex(wire.index);
    if (typeof wire.index === 'number' && wire.index !== index) this.renumbered = true;
    const call = { index, wireIndex: wire.index, isIntroduced: false, wireId: undefined, name: undefined };
    this.#calls.push(call);
    return call;
  }

  #freeIndex(asked: unknown): number {
    const isTaken = this.#calls.some((call) => call.index === asked);
    return typeof asked === 'number' && !isTaken
      ? asked
      : this.#calls.reduce((next, call) => Math.max(next, call.index + 1), 0);
  }
}

function introduces(wire: WireObject): boolean {
  return nameIn(wire) !== undefined || asText(wire.id) !== undefined;
}

function introduced(wire: WireObject, call: BegunCall): WireObject {
  const called = asObject(wire.function);
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
