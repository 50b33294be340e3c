import { Langfuse } from 'langfuse';

type Property = Parameters<Langfuse['getPersistedProperty']>[0];

/**
 * The SDK with its queue as a plain array: by itself it writes the whole queue out as JSON again for each event
 * that is added, which was most of its cost.
 */
export class LangfuseClient extends Langfuse {
  #properties: Map<Property, unknown> | undefined;

  override getPersistedProperty<Value>(key: Property): Value | undefined {
    return this.#map().get(key) as Value | undefined;
  }

  override setPersistedProperty<Value>(key: Property, value: Value | null): void {
    if (value === null) this.#map().delete(key);
    else this.#map().set(key, value);
  }

  /** Made on first use: the SDK's constructor may already ask. */
  #map(): Map<Property, unknown> {
    this.#properties ??= new Map();
    return this.#properties;
  }
}
