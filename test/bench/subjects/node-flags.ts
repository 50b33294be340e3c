/**
 * For every Node subject alike: an idle process drops its compiled code, and each subject idles while the others have
 * their turn. Without these flags whoever waits longest pays most.
 */
export const NODE_FLAGS = ['--no-flush-bytecode', '--no-memory-reducer'];
