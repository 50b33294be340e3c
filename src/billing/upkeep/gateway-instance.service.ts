import { Injectable } from '@nestjs/common';
import { hostname } from 'node:os';
import { uuidV7 } from '../../edge/uuid-v7.js';

/**
 * One boot of one gateway process. Its id is the epoch that holds, claims and the journal carry: whoever takes over its
 * work names it, and nobody else ever has it.
 */
@Injectable()
export class GatewayInstance {
  readonly id = uuidV7();
  readonly host = hostname();
  #fenced = false;

  /** Somebody declared this process dead and freed its holds (it was frozen, or cut off): it must take no new ones. */
  get isFenced(): boolean {
    return this.#fenced;
  }

  fence(): void {
    this.#fenced = true;
  }
}
