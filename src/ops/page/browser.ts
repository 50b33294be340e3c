/**
 * The few parts of the browser that the page uses. TypeScript's own DOM library would put all its names into the scope
 * of the server too.
 */
export interface PageElement {
  textContent: string | null;
  className: string;
  hidden: boolean;
  value: string;
  append(...nodes: (PageElement | string)[]): void;
  replaceChildren(...nodes: (PageElement | string)[]): void;
  setAttribute(name: string, value: string): void;
  addEventListener(type: string, listener: (event: { preventDefault(): void }) => void): void;
  focus(): void;
}

export interface PageDocument {
  title: string;
  readonly hidden: boolean;
  querySelector(selector: string): PageElement | null;
  createElement(tag: string): PageElement;
  createElementNS(namespace: string, tag: string): PageElement;
  addEventListener(type: string, listener: () => void): void;
}

export interface PageStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}
