import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import type { Secret } from '../../config/secret.js';

/** How a sealed body begins; neither JSON text, nor an event stream, nor a gzip file does. */
const SEAL_MAGIC = Buffer.from([0x00, 0x01]);
const KEY_ID_BYTES = 4;
const SALT_BYTES = 16;
const TAG_BYTES = 16;
const HEADER_BYTES = SEAL_MAGIC.length + KEY_ID_BYTES + SALT_BYTES + TAG_BYTES;
const CIPHER = 'aes-256-gcm';
const CIPHER_KEY_BYTES = 32;
const IV_BYTES = 12;

/** Whom an answer is sealed to. */
export interface AnswerOwner {
  readonly userId: string;
  readonly key: string;
}

/**
 * AES-256-GCM over stored answers: `0x0001 | key id | salt | tag | ciphertext`. Each answer has a key of its own, made by
 * HKDF of the configured one and a random salt, so there is no number of answers after which a key is worn out. The user
 * and the Idempotency-Key are authenticated with it.
 */
export class AnswerSeal {
  readonly #keys: readonly (readonly [id: Buffer, key: Buffer])[];

  /** @param keys  32 bytes in base64 each; the first seals, all of them open. None: answers stay as they are */
  constructor(keys: readonly Secret[]) {
    this.#keys = keys.map((secret) => {
      const key = Buffer.from(secret.reveal(), 'base64');
      return [createHash('sha256').update(key).digest().subarray(0, KEY_ID_BYTES), key];
    });
  }

  seal(body: Buffer, owner: AnswerOwner): Buffer {
    const [first] = this.#keys;
    if (!first) return body;
    const [id, key] = first;
    const salt = randomBytes(SALT_BYTES);
    const cipher = createCipheriv(CIPHER, ...derived(key, salt));
    cipher.setAAD(nameOf(owner));
    const sealed = [cipher.update(body), cipher.final()];
    return Buffer.concat([SEAL_MAGIC, id, salt, cipher.getAuthTag(), ...sealed]);
  }

  /** @returns what was sealed, or what never was; `undefined` when none of the keys opens it */
  open(body: Buffer, owner: AnswerOwner): Buffer | undefined {
    if (!body.subarray(0, SEAL_MAGIC.length).equals(SEAL_MAGIC)) return body;
    if (body.length < HEADER_BYTES) return undefined;
    const saltAt = SEAL_MAGIC.length + KEY_ID_BYTES;
    const keyId = body.subarray(SEAL_MAGIC.length, saltAt);
    const tagAt = saltAt + SALT_BYTES;
    for (const [id, key] of this.#keys) {
      if (!id.equals(keyId)) continue;
      try {
        const decipher = createDecipheriv(CIPHER, ...derived(key, body.subarray(saltAt, tagAt)));
        decipher.setAAD(nameOf(owner));
        decipher.setAuthTag(body.subarray(tagAt, HEADER_BYTES));
        return Buffer.concat([decipher.update(body.subarray(HEADER_BYTES)), decipher.final()]);
      } catch {
        // Another key with this id, another owner's answer, or damage.
      }
    }
    return undefined;
  }
}

function derived(key: Buffer, salt: Buffer): [key: Buffer, iv: Buffer] {
  const bytes = Buffer.from(hkdfSync('sha256', key, salt, 'idempotent answer', CIPHER_KEY_BYTES + IV_BYTES));
  return [bytes.subarray(0, CIPHER_KEY_BYTES), bytes.subarray(CIPHER_KEY_BYTES)];
}

/** Neither part can contain a space. */
function nameOf({ userId, key }: AnswerOwner): Buffer {
  return Buffer.from(`${userId} ${key}`);
}
