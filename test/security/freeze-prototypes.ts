/** NODE_OPTIONS of a gateway in which nobody can change a prototype once it listens: whoever tries throws. */
export const FREEZE_PROTOTYPES = `--import=${new URL('./freeze-prototypes.preload.mjs', import.meta.url).href}`;
