import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { describeRequest } from '../../libs/testing/fake-upstream/describe-request.ts';
import { openaiAnswer } from '../../libs/testing/fake-upstream/openai-answers.ts';
import type { Answer, RecordedRequest } from '../../libs/testing/fake-upstream/script.ts';
import { Gates, sendAnswer } from '../../libs/testing/fake-upstream/send-answer.ts';
import { Random } from '../support/random.ts';
import type { Scenario, UpstreamFault } from './scenario.ts';

type Settings = Scenario['upstream'];

/** Serves OpenAI's dialect on a free port of 127.0.0.1. Keeps nothing: a long run makes many requests. */
export function serveUpstream(seed: number, settings: Settings): Promise<number> {
  const random = new Random(seed);
  const gates = new Gates();
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    response.on('error', () => undefined);
    void answer(request, response, random, settings, gates).catch(() => response.destroy());
  });
  server.on('connection', (socket) => socket.on('error', () => undefined));
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(address && typeof address === 'object' ? address.port : 0);
    });
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  random: Random,
  settings: Settings,
  gates: Gates,
): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const body = Buffer.concat(pieces).toString('utf8');
  const record: RecordedRequest = {
    id: 0,
    receivedAtMs: 0,
    connection: 0,
    bytesSent: 0,
    finishedAtMs: undefined,
    abortedAtMs: undefined,
    ...describeRequest(request, body),
  };
  await sendAnswer(spoil(openaiAnswer(record, {}), record, random, settings), response, record, gates);
}

function spoil(good: Answer, record: RecordedRequest, random: Random, settings: Settings): Answer {
  const [low, high] = random.chance(settings.slowShare) ? settings.slowMs : settings.delayMs;
  const timed = { ...good, delayMs: random.between(low, high) };
  // A slow stream is one that drips.
  const paced = record.stream && random.chance(0.3) ? { ...timed, delayMs: 0, chunkDelayMs: 4 } : timed;
  const fault = drawFault(random, settings.faults);
  switch (fault) {
    case undefined:
      return paced;
    case 'rate-limited':
      return failure(429, 'rate_limit_exceeded');
    case 'error':
      return failure(random.pick([500, 502, 503]), 'server_error');
    case 'reset':
      return { ...paced, fault: { kind: 'reset', afterBytes: 'before-headers' } };
    case 'cut':
      return { ...paced, fault: { kind: random.pick(['cut', 'reset']), afterBytes: random.between(0, 900) } };
    case 'stall':
      return { ...paced, fault: { kind: 'stall', afterBytes: random.between(0, 600) } };
    default:
      return fault satisfies never;
  }
}

function drawFault(random: Random, faults: Settings['faults']): UpstreamFault | undefined {
  let left = random.next();
  for (const [name, share] of Object.entries(faults) as [UpstreamFault, number][]) {
    left -= share;
    if (left < 0) return name;
  }
  return undefined;
}

function failure(status: number, code: string): Answer {
  return { status, body: { json: { error: { message: `chaos: ${code}`, type: code, code, param: null } } } };
}
