/**
 * Loaded into the gateway by NODE_OPTIONS=--import: writes a line for every address that the process connects to, whoever
 * in it does so. What the test compares is not what the code means to do but what it does.
 */
import { appendFileSync } from 'node:fs';
import { Socket } from 'node:net';

const file = process.env.RECORD_DIALS_TO;
const { connect } = Socket.prototype;

Socket.prototype.connect = function recorded(...given) {
  // Node hands its own, already normalised arguments on as one array.
  const [first, second] = Array.isArray(given[0]) ? given[0] : given;
  const {
    host = 'localhost',
    port,
    path,
  } = typeof first === 'object' ? first : { port: first, host: second };
  appendFileSync(file, `${path ?? `${host}:${port}`}\n`);
  return connect.apply(this, given);
};
