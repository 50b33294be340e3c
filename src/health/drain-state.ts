import { Injectable } from '@nestjs/common';

/** Set when the process was told to stop: from then on it is not ready, and finishes what it has. */
@Injectable()
export class DrainState {
  draining = false;
}
