/** The part of WHATWG fetch that the vendor SDKs use. */
export type LightFetch = typeof globalThis.fetch;
