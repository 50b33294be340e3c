import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

export interface Certificate {
  readonly name: string;
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

export interface CertificateOptions {
  /** Whom it is for: DNS name. */
  readonly host: string;
  readonly validForMs?: number;
  /** Who signs; itself when absent, and then it may sign others. */
  readonly issuer?: Certificate;
}

/** An X.509 certificate for tests (RFC 5280, ECDSA P-256). Node can read them and not make them. */
export function makeCertificate({ host, validForMs = 3_600_000, issuer }: CertificateOptions): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = issuer ? createPrivateKey(issuer.key) : privateKey;
  const body = sequence(
    tagged(0xa0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ECDSA_WITH_SHA256,
    distinguishedName(issuer?.name ?? host),
    sequence(utcTime(Date.now() - 2 * 3_600_000), utcTime(Date.now() + validForMs)),
    distinguishedName(host),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(issuer ? alternativeName(host) : MAY_SIGN)),
  );
  const der = sequence(body, ECDSA_WITH_SHA256, bitString(sign('sha256', body, signer)));
  return { name: host, cert: pem(der), key: exportKey(privateKey) };
}

function element(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 128) return Buffer.concat([Buffer.from([tag, length]), content]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), content]);
}

function tagged(tag: number, ...parts: Buffer[]): Buffer {
  return element(tag, Buffer.concat(parts));
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, ...parts);
}

function integer(bytes: Buffer): Buffer {
  return element(0x02, bytes);
}

function objectId(hex: string): Buffer {
  return element(0x06, Buffer.from(hex, 'hex'));
}

function bitString(bytes: Buffer): Buffer {
  return tagged(0x03, Buffer.from([0]), bytes);
}

/** YYMMDDHHMMSSZ */
function utcTime(ms: number): Buffer {
  return element(0x17, Buffer.from(`${new Date(ms).toISOString().replace(/\D/g, '').slice(2, 14)}Z`));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tagged(0x31, sequence(objectId('550403'), element(0x0c, Buffer.from(commonName)))));
}

function alternativeName(host: string): Buffer {
  return sequence(objectId('551d11'), element(0x04, sequence(element(0x82, Buffer.from(host)))));
}

const ECDSA_WITH_SHA256 = sequence(objectId('2a8648ce3d040302'));
/** basicConstraints, critical: CA. */
const MAY_SIGN = sequence(
  objectId('551d13'),
  element(0x01, Buffer.from([0xff])),
  element(0x04, sequence(element(0x01, Buffer.from([0xff])))),
);

function pem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function exportKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
