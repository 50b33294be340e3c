/**
 * Lets Node run the sources without a build: Node strips the types, and `./x.js` means `./x.ts`, as it does to the compiler.
 * So what is imported after this is erasable TypeScript: no enums, no parameter properties, no decorators.
 */
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    const ours = specifier.startsWith('.') && context.parentURL?.endsWith('.ts');
    return next(ours ? specifier.replace(/\.js$/, '.ts') : specifier, context);
  },
});
