import { CallSwitch } from '@app/contracts';
import type { Dispatcher } from 'undici';
import { beforeEach, describe, expect, it } from 'vitest';
import { heapBytes } from '../../../test/support/heap-bytes.js';
import { LightTarget } from './light-target.js';

const CHUNKS = 300_000;
const CONTROLLER = {
  pause: () => undefined,
  resume: () => undefined,
  abort: () => undefined,
} as unknown as Dispatcher.DispatchController;

describe('an answer in chunks of a byte each', () => {
  let handler: Dispatcher.DispatchHandler;
  let target: LightTarget;

  beforeEach(() => {
    const dispatcher = { dispatch: (_request: unknown, to: typeof handler) => (handler = to) };
    target = new LightTarget(dispatcher as never, new URL('http://127.0.0.1/'), [], 2 * CHUNKS);
  });

  function begin(status: number): void {
    handler.onRequestStart?.(CONTROLLER, undefined);
    handler.onResponseStart?.(CONTROLLER, status, {}, '');
  }

  /** @param waits  whoever reads has its turn after each chunk */
  async function send(waits: boolean): Promise<void> {
    for (let sent = 0; sent < CHUNKS; sent += 1) {
      handler.onResponseData?.(CONTROLLER, Buffer.from('x'));
      if (waits) await undefined;
    }
  }

  it('takes no more memory than another when it is read whole', async () => {
    const answer = target.postForWhole('', [], new CallSwitch());
    begin(200);
    const before = heapBytes();
    await send(false);
    expect(heapBytes() - before).toBeLessThan(15 * 2 ** 20);
    handler.onResponseEnd?.(CONTROLLER, {});
    expect((await answer).text).toBe('x'.repeat(CHUNKS));
  });

  it('takes no more memory than another when a stream turns out to be read whole', async () => {
    const response = target.post('', [], new CallSwitch());
    begin(200);
    const text = (await response).text();
    const before = heapBytes();
    await send(true);
    expect(heapBytes() - before).toBeLessThan(15 * 2 ** 20);
    handler.onResponseEnd?.(CONTROLLER, {});
    expect(await text).toBe('x'.repeat(CHUNKS));
  });

  it('takes no more memory or time than another when its reader is slow', async () => {
    const response = target.post('', [], new CallSwitch());
    begin(200);
    const { body } = await response;
    const before = heapBytes();
    await send(false);
    expect(heapBytes() - before).toBeLessThan(15 * 2 ** 20);
    handler.onResponseEnd?.(CONTROLLER, {});
    const startedMs = performance.now();
    let read = '';
    for await (const bytes of body) read += Buffer.from(bytes).toString();
    expect(performance.now() - startedMs).toBeLessThan(1000);
    expect(read).toBe('x'.repeat(CHUNKS));
  });
});
