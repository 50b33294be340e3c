import type {
  CallSignal,
  ChatStreamEvent,
  ProviderAnswer,
  ProviderCall,
  ProviderStrategy,
  ProviderStream,
} from '@app/contracts';

/** What one call does. `signal` is the one the strategy was given. */
export type Script = (
  signal: CallSignal,
  call: ProviderCall,
) => Promise<ProviderAnswer> | AsyncIterator<ChatStreamEvent>;

/** A provider for tests: does what it is told, call by call, and keeps what it was asked. */
export class ScriptedStrategy implements ProviderStrategy {
  readonly providerName = 'scripted';
  readonly cancelStopsBilling = true;
  readonly calls: ProviderCall[] = [];
  /** Streams that were opened and neither ended nor were closed. */
  openStreams = 0;

  constructor(private readonly script: Script) {}

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    this.calls.push(call);
    return (await this.script(call.signal, call)) as ProviderAnswer;
  }

  async stream(call: ProviderCall): Promise<ProviderStream> {
    this.calls.push(call);
    const source = (await this.script(call.signal, call)) as AsyncIterator<ChatStreamEvent>;
    this.openStreams += 1;
    const events = this.#watch(source);
    return { events: { [Symbol.asyncIterator]: () => events }, droppedParams: ['seed'] };
  }

  #watch(source: AsyncIterator<ChatStreamEvent>): AsyncIterator<ChatStreamEvent> {
    let isOpen = true;
    const closed = (): void => {
      if (isOpen) this.openStreams -= 1;
      isOpen = false;
    };
    return {
      next: async () => {
        try {
          const step = await source.next();
          if (step.done) closed();
          return step;
        } catch (error) {
          closed();
          throw error;
        }
      },
      return: async () => {
        closed();
        return (await source.return?.()) ?? { done: true, value: undefined };
      },
    };
  }
}

export function event(text: string): ChatStreamEvent {
  return { json: JSON.stringify({ text }), outputText: text, usageOnly: false };
}
