import { existsSync, readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

// Lets a plain `node --import` run the sources with their decorators: for tests that need a process to kill.
const ROOT = new URL('../../', import.meta.url);
const LIBRARY = /^@app\/(\w+)$/;

registerHooks({
  resolve(specifier, context, nextResolve) {
    const library = LIBRARY.exec(specifier);
    if (library) return { url: new URL(`libs/${library[1]}/index.ts`, ROOT).href, shortCircuit: true };
    if (specifier.startsWith('.') && specifier.endsWith('.js')) {
      const source = fileURLToPath(new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL));
      if (existsSync(source)) return { url: pathToFileURL(source).href, shortCircuit: true };
    }
    return nextResolve(specifier, context);
  },

  load(url, context, nextLoad) {
    if (!url.endsWith('.ts')) return nextLoad(url, context);
    const { outputText } = ts.transpileModule(readFileSync(fileURLToPath(url), 'utf8'), {
      compilerOptions: {
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.ESNext,
        experimentalDecorators: true,
        emitDecoratorMetadata: true,
        verbatimModuleSyntax: false,
      },
    });
    return { format: 'module', source: outputText, shortCircuit: true };
  },
});
