/**
 * Lets Node run the TypeScript sources as they are, without a build: `./x.js` means `./x.ts`, `@app/x` means
 * `libs/x/index.ts`, and what type stripping cannot do (decorators, parameter properties) the compiler does.
 */
import { existsSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import typescript from 'typescript';

const ROOT = new URL('../../', import.meta.url);

const OPTIONS: typescript.CompilerOptions = {
  target: typescript.ScriptTarget.ES2023,
  module: typescript.ModuleKind.ESNext,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  isolatedModules: true,
  inlineSourceMap: true,
};

registerHooks({
  resolve(specifier, context, next) {
    const library = /^@app\/([a-z]+)$/.exec(specifier)?.[1];
    if (library !== undefined) return next(new URL(`libs/${library}/index.ts`, ROOT).href, context);
    const isSource = specifier.startsWith('.') && context.parentURL?.endsWith('.ts');
    const source = isSource ? new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL) : undefined;
    return next(source && existsSync(source) ? source.href : specifier, context);
  },
  load(url, context, next) {
    if (!url.endsWith('.ts') || url.includes('/node_modules/')) return next(url, context);
    const loaded = next(url, { ...context, format: 'module-typescript' });
    const text = typescript.sys.readFile(fileURLToPath(url)) ?? '';
    const { outputText } = typescript.transpileModule(text, { compilerOptions: OPTIONS, fileName: url });
    return { ...loaded, format: 'module', source: outputText, shortCircuit: true };
  },
});

/** The same from the repository's root, for who starts elsewhere. */
export function sourceUrl(path: string): string {
  return pathToFileURL(fileURLToPath(new URL(path, ROOT))).href;
}
