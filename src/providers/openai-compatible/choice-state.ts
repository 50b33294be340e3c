import type { FinishReason } from '@app/contracts';
import { normaliseText } from './openai-compatible.message.js';
import type { AnswerContext } from './openai-compatible.response.js';
import { asArray, asObject, type WireObject } from './openai-compatible.wire.js';
import { ToolCallDeltas } from './tool-call-deltas.js';

export interface NormalisedChoice extends WireObject {
  index: number;
  delta: WireObject;
  finish_reason: FinishReason | null;
}

/** What later deltas of a choice need to know of the earlier ones. */
export class ChoiceState {
  finish: FinishReason | undefined;
  #roleSaid = false;
  readonly #toolCalls = new ToolCallDeltas();
  #contentParts: unknown[] | undefined;

  constructor(
    readonly index: number,
    private readonly onReasoning: AnswerContext['onReasoning'],
  ) {}

  get hasToolCalls(): boolean {
    return this.#toolCalls.any;
  }

  get hasEmptyCalls(): boolean {
    return this.#toolCalls.hasEmpty;
  }

  get lacksCalls(): boolean {
    return this.finish !== undefined && this.#toolCalls.lacking;
  }

  get hasRetoldCalls(): boolean {
    return this.#toolCalls.retold;
  }

  /** Some servers send a whole message instead of a delta, others the text so far beside each delta. */
  deltaIn(wire: WireObject): WireObject {
    const delta = asObject(wire.delta);
    return delta ?? (this.#roleSaid ? {} : (asObject(wire.message) ?? {}));
  }

  normaliseDelta(wire: WireObject): WireObject {
    const { role: _role, ...delta } = wire;
    normaliseText(delta, this.onReasoning);
    const given = asArray(delta.tool_calls);
    const calls = given.flatMap((call) => this.#toolCalls.normalise(asObject(call) ?? {}) ?? []);
    if (calls.length > 0) delta.tool_calls = calls;
    else if (given.length > 0) delete delta.tool_calls;
    return { ...this.#firstRole(), ...delta };
  }

  endCalls(choices: NormalisedChoice[]): void {
    const rest = this.#toolCalls.rest(this.finish === 'length' || this.finish === 'content_filter');
    if (rest.length === 0) return;
    const own = choices.find(({ index }) => index === this.index);
    if (own) own.delta.tool_calls = [...asArray(own.delta.tool_calls), ...rest];
    else choices.push({ index: this.index, delta: { tool_calls: rest }, finish_reason: null });
  }

  /**
   * Content parts that are more than text go out once, with the finish: of a list that comes in pieces openai-node keeps only
   * the last, and openai-python fails at the second.
   */
  keepParts(delta: WireObject, isLast: boolean): void {
    const told = asObject(delta.provider_specific_fields);
    if (told?.content_parts === undefined && !(isLast && this.#contentParts)) return;
    const { content_parts: parts, ...fields } = told ?? {};
    this.#contentParts = [...(this.#contentParts ?? []), ...asArray(parts)];
    if (isLast) fields.content_parts = this.#contentParts;
    if (Object.keys(fields).length > 0) delta.provider_specific_fields = fields;
    else delete delta.provider_specific_fields;
  }

  /** In the first delta only: some clients join the roles of all deltas. */
  #firstRole(): WireObject {
    if (this.#roleSaid) return {};
    this.#roleSaid = true;
    return { role: 'assistant' };
  }
}
