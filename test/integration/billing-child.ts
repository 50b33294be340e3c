import 'reflect-metadata';
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { IdempotencyTicket } from '../../src/billing/idempotency/idempotency-ticket.js';
import type { SessionIdentity } from '../../src/billing/session/held.js';
import {
  answerTo,
  chat,
  connect,
  identityOf,
  keyedRequest,
  planOf,
  plannedTarget,
  startMachine,
  targetOf,
} from './billing-machine.js';

/**
 * A gateway's billing in a process of its own, to be killed at any moment. Serves one request after the other on several
 * lanes and writes a line for each charge that was promised: `<billing id> <cost> <user> <Idempotency-Key, if any>`.
 *
 * Arguments: database URL, data directory, users (comma list), lanes, milliseconds between hold and settlement, `keyed`
 */
const [url = '', dataDir = '', users = '', lanes = '4', thinkMs = '1', keyed = ''] = process.argv.slice(2);

// What is written on stdout is what was promised, and nothing else.
Logger.overrideLogger(false);
const dataSource = await connect(url, 6);
const machine = await startMachine(dataSource, { outageCreditNanoUsd: 0n }, dataDir);
await machine.upkeep.runOnce();
writeSync(1, `instance ${machine.instance.id}\n`);

const payers = users.split(',');
const target = plannedTarget({ maxOutputTokens: 50 });

async function serve(lane: number): Promise<void> {
  for (let turn = 0; ; turn += 1) {
    const identity = identityOf(payers[(lane + turn) % payers.length] ?? '');
    const session = machine.sessions.open(identity);
    const key = keyed === '' ? undefined : `key-${lane}-${turn}`;
    try {
      const ticket = key === undefined ? undefined : await claim(identity, key);
      await session.hold(machine.quoter.quote(planOf(target), chat('hi', { max_tokens: 50 }), false));
      await sleep(Number(thinkMs));
      const usage = { inputTokens: 1 + (turn % 20), outputTokens: 1 + (lane % 40) };
      const { costNanoUsd } = await session.settle({
        kind: 'usage',
        target: targetOf(target),
        usage,
        source: 'provider',
      });
      await ticket?.store(answerTo(identity.billingId));
      writeSync(1, `${identity.billingId} ${costNanoUsd} ${identity.userId} ${key ?? ''}\n`);
    } catch {
      await sleep(20);
    }
  }
}

async function claim({ billingId, userId }: SessionIdentity, key: string): Promise<IdempotencyTicket> {
  const begun = await machine.idempotency.begin(keyedRequest(userId, billingId, key));
  if (begun.kind !== 'execute') throw new Error('a new key is executed');
  begun.ticket.keeps(() => answerTo(billingId));
  return begun.ticket;
}

await Promise.all(Array.from({ length: Number(lanes) }, (_, lane) => serve(lane)));
