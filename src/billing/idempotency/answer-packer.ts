import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { type AnswerOwner, AnswerSeal } from './answer-seal.js';
import { packAnswer, type PackedAnswer, unpackBody } from './packed-answer.js';
import type { StoredResponse } from './stored-response.js';

/** Turns an answer into what is stored, and back: gzipped when it is long, sealed when there is a key. */
@Injectable()
export class AnswerPacker {
  readonly #seal: AnswerSeal;

  constructor(@Inject(APP_CONFIG) { billing }: AppConfig) {
    this.#seal = new AnswerSeal(billing.idempotencyKeys);
  }

  async pack(response: StoredResponse, owner: AnswerOwner): Promise<PackedAnswer> {
    const packed = await packAnswer(response);
    return { ...packed, body: packed.body && this.#seal.seal(packed.body, owner) };
  }

  /** @returns the text of a body; `undefined` when it was sealed with a key that is not here, or is not this owner's */
  async unpack(body: Buffer, owner: AnswerOwner): Promise<string | undefined> {
    const opened = this.#seal.open(body, owner);
    return opened && unpackBody(opened);
  }
}
