/**
 * Loaded into the gateway by NODE_OPTIONS=--import: once it listens, no prototype can be changed any more. Whoever writes
 * to one from then on throws, in the middle of a request. Not sooner: some packages define things on prototypes as they load.
 */
import { Server } from 'node:net';

const { listen } = Server.prototype;

Server.prototype.listen = function listenAndFreeze(...given) {
  this.once('listening', () => {
    for (const { prototype } of [Object, Array, Promise, RegExp, String, Number, Map, Set]) {
      Object.freeze(prototype);
    }
    process.stdout.write('prototypes are frozen\n');
  });
  return listen.apply(this, given);
};
