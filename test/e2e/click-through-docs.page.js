// Runs in the browser, on /docs: what somebody at the mouse does, and the answers that they then see.
// One limit for all of it: on a busy machine any single step may take many times as long as the others.
globalThis.clickThrough = async (token, limitMs) => {
  const end = performance.now() + limitMs;
  const until = async (find) => {
    while (performance.now() < end) {
      const found = find();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`not seen: ${find}`);
  };
  const one = (selector, within = document) => within.querySelector(selector);

  (await until(() => one('.auth-wrapper .authorize'))).click();
  const input = await until(() => one('.modal-ux input'));
  // As a keyboard does it: React hears of a value only from an event, and only when it has not seen it set.
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, token);
  input.dispatchEvent(new Event('input', { bubbles: true }));
  (await until(() => one('.modal-ux button.authorize'))).click();
  (await until(() => one('.modal-ux button.btn-done'))).click();

  const shown = {};
  for (const name of [
    'POST /v1/chat/completions',
    'POST /v1/chat/completions/stream',
    'GET /billing/balance',
    'GET /admin/users',
  ]) {
    const [method, path] = name.split(' ');
    const block = await until(() =>
      [...document.querySelectorAll('.opblock')].find(
        (each) =>
          one('.opblock-summary-method', each).textContent === method &&
          one('.opblock-summary-path', each).dataset.path === path,
      ),
    );
    one('.opblock-summary-control', block).click();
    const execute = await until(() => !one('.opblock-loading-animation', block) && one('.execute', block));
    await until(() => method === 'GET' || one('textarea', block)?.value);
    execute.click();
    shown[name] = await until(() => {
      const status = one('.live-responses-table .response .response-col_status', block)?.textContent;
      const answer = one('.live-responses-table .response .response-col_description', block)?.textContent;
      return status?.startsWith('200') && answer;
    });
    one('.opblock-summary-control', block).click();
  }
  return shown;
};
