/**
 * A process fills for so long, whatever it is asked: the limits of an hour keep a count for each minute and user, in arrays
 * that V8 makes longer with the 18th and with the 44th, and V8 goes on compiling what runs rarely.
 */
export const FILLING_MINUTES = 45;
/** Of a soak too short to wait for that and to see something afterwards. */
const SHARE = 1 / 3;

/** How long a soak of `minutes` lets a process settle in before it looks. */
export function settlingMinutes(minutes: number): number {
  const share = minutes * SHARE;
  return FILLING_MINUTES + share <= minutes ? FILLING_MINUTES : share;
}
