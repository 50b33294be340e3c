import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire, registerHooks } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

// Lets plain Node run the sources with their decorators, without a build: for processes that a test kills, and for commands.
// What one process has compiled the next ones take from COMPILED_SOURCES, a folder; most never load the compiler.
const { COMPILED_SOURCES } = process.env;
const require = createRequire(import.meta.url);
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
    return {
      format: 'module',
      source: compiled(readFileSync(fileURLToPath(url), 'utf8'), url),
      shortCircuit: true,
    };
  },
});

function compiled(source, url) {
  if (!COMPILED_SOURCES) return compile(source, url);
  const file = join(COMPILED_SOURCES, `${createHash('sha256').update(source).digest('hex')}.js`);
  if (existsSync(file)) return readFileSync(file, 'utf8');
  const output = compile(source, url);
  mkdirSync(COMPILED_SOURCES, { recursive: true });
  const own = `${file}.${process.pid}`;
  writeFileSync(own, output);
  renameSync(own, file);
  return output;
}

function compile(source, fileName) {
  const ts = require('typescript');
  return ts.transpileModule(source, {
    fileName,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      verbatimModuleSyntax: false,
      inlineSourceMap: true,
    },
  }).outputText;
}
