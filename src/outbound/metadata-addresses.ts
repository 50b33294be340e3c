import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/**
 * Where machines of a cloud hand out credentials to whoever asks. The gateway is never to be made to ask there: such an
 * address is a fault in the configuration, and a name that leads there at the moment of connecting does not exist.
 *
 * Loopback and private networks are allowed: a model server in the same house is what base URLs are for, and only the
 * operator writes them; nothing in a request changes where the gateway dials.
 */
const METADATA_HOSTS = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
]);
const METADATA_ADDRESSES = new BlockList();
METADATA_ADDRESSES.addSubnet('169.254.0.0', 16);
METADATA_ADDRESSES.addSubnet('0.0.0.0', 8);
METADATA_ADDRESSES.addAddress('100.100.100.200');
METADATA_ADDRESSES.addAddress('192.0.0.192');
METADATA_ADDRESSES.addAddress('168.63.129.16');
METADATA_ADDRESSES.addSubnet('fe80::', 10, 'ipv6');
METADATA_ADDRESSES.addAddress('::', 'ipv6');
METADATA_ADDRESSES.addSubnet('fd00:ec2::', 32, 'ipv6');
METADATA_ADDRESSES.addAddress('fd20:ce::254', 'ipv6');
// Ways to write an IPv4 address inside an IPv6 one.
METADATA_ADDRESSES.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6');
METADATA_ADDRESSES.addSubnet('2002:a9fe::', 32, 'ipv6');
METADATA_ADDRESSES.addSubnet('::a9fe:0', 112, 'ipv6');

function isMetadataAddress(address: string): boolean {
  const version = isIP(address);
  return version !== 0 && METADATA_ADDRESSES.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

/** @param hostname  as WHATWG's parser leaves it: decimal, octal and short forms of an address are already dotted */
export function isMetadataHost(hostname: string): boolean {
  const host = hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
  return isIP(host) === 0 ? METADATA_HOSTS.has(host) : isMetadataAddress(host);
}

/**
 * `lookup` for sockets: resolves as usual, but a name that leads to a metadata address, if only among others, is told not
 * to exist. So a name that pointed elsewhere when the configuration was read (DNS rebinding) gains nothing.
 */
export const lookupOutbound: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, options, (error, address, family) => {
    const found = typeof address === 'string' ? [address] : (address ?? []).map((entry) => entry.address);
    if (error || !found.some(isMetadataAddress)) callback(error, address, family);
    else callback(notFound(hostname), '', 0);
  });
};

function notFound(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${hostname} resolves to an address that must not be called`), {
    code: 'ENOTFOUND',
    syscall: 'getaddrinfo',
    hostname,
  });
}
