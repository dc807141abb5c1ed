// Tests that take too long for every change, and the record of their last run in docs/reliability.md.
//   node scripts/test-long.mjs [PART] [options of the part]     all parts when none is named; builds nothing
//     emulator   the CUDA back end in the checked emulator: all op cases, every CUDA call failing in turn, planted faults
//     endings    processes and workers that end, files that are cut off, engines opened and closed: 200 of each kind
//     fuzz       every parser of foreign files, [--minutes N] in all
//     ranks      runs of several processes, of which one is killed at 40 random moments; needs Open MPI, and compares MPICH
//     package    the tarballs of `npm run package`, installed into empty projects on Debian without build tools; needs root
//     sanitize   the native library and the low-level API under ASan and UBSan, the stream under TSan
//     serve      half an hour of clients that come, go and vanish at a server with workers; memory must stay flat
//     soak       thousands of mixed requests; memory must stay flat
//     --no-record  leaves docs/reliability.md as it is
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const DOCUMENT = join(root, 'docs', 'reliability.md');
const scratch = mkdtempSync(join(tmpdir(), 'hint-test-long-'));
const counts = join(scratch, 'counts.jsonl');

/** How each part runs. All add what they tried to the file HINT_TEST_COUNTS, a line {"name": …, "count": …} each. */
const PARTS = {
  emulator: { command: ['node', 'scripts/test-emulator.mjs'] },
  endings: {
    command: ['npx', '--no-install', 'vitest', 'run', 'test/endings', '--testTimeout', '3600000'],
    environment: { HINT_TEST_ROUNDS: process.env.HINT_TEST_ROUNDS ?? '200' },
  },
  fuzz: { command: ['node', 'scripts/fuzz.mjs'] },
  ranks: {
    command: ['npx', '--no-install', 'vitest', 'run', 'test/distributed', '--testTimeout', '3600000'],
    environment: { HINT_TEST_ROUNDS: process.env.HINT_TEST_ROUNDS ?? '40' },
  },
  package: { command: ['node', 'scripts/test-package.mjs'] },
  sanitize: { command: ['node', 'scripts/test-sanitize.mjs'] },
  serve: {
    command: ['npx', '--no-install', 'vitest', 'run', 'test/server/soak.test.ts'],
    environment: { HINT_TEST_SOAK_SECONDS: process.env.HINT_TEST_SOAK_SECONDS ?? '1800' },
  },
  soak: {
    command: ['node', 'dist/bundle/cli/main.js', 'bench', 'soak', '--json'],
    // The counts are read from the command's output, because a command for users writes no file of counts.
    counts: ({ requests, cancelled, memory }) => [
      { name: 'requests', count: requests },
      { name: 'of them cancelled', count: cancelled },
      ...memory
        .slice(-1)
        .map(({ rss }) => ({ name: 'MB of the process at the end', count: Math.round(rss / 2 ** 20) })),
    ],
  },
};

const options = process.argv.slice(2);
const isRecorded = !options.includes('--no-record');
const [first, ...rest] = options.filter((option) => option !== '--no-record');
if (first !== undefined && !(first in PARTS)) {
  console.error(`There is no part "${first}"; use ${Object.keys(PARTS).join(', ')}.`);
  process.exit(2);
}

let failed = 0;
for (const part of first ? [first] : Object.keys(PARTS)) {
  const { command, environment = {}, counts: counted } = PARTS[part];
  const [program, ...parameters] = [...command, ...rest];
  writeFileSync(counts, '');
  const started = Date.now();
  console.log(`== ${part}: ${[program, ...parameters].join(' ')}`);
  const { status, stdout } = spawnSync(program, parameters, {
    cwd: root,
    stdio: ['inherit', counted ? 'pipe' : 'inherit', 'inherit'],
    encoding: 'utf8',
    env: { ...process.env, ...environment, HINT_TEST_COUNTS: counts },
  });
  if (counted && stdout) {
    process.stdout.write(stdout);
    writeFileSync(
      counts,
      counted(JSON.parse(stdout))
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(''),
    );
  }
  const seconds = Math.round((Date.now() - started) / 1000);
  console.log(`== ${part}: ${status === 0 ? 'ok' : 'FAILED'} (${seconds} s)`);
  if (status !== 0) failed++;
  if (isRecorded) record(part, seconds, status === 0);
}
rmSync(scratch, { recursive: true });
process.exit(failed === 0 ? 0 : 1);

/** Writes the row of a part in the table of docs/reliability.md. */
function record(part, seconds, isGood) {
  const tried = readFileSync(counts, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const commit = spawnSync('git', ['describe', '--always', '--dirty', '--exclude', '*'], {
    cwd: root,
    encoding: 'utf8',
  });
  const cells = [
    `\`npm run test:${part}\``,
    new Date().toISOString().slice(0, 10),
    `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores`,
    commit.stdout.trim() || 'unknown',
    `${seconds} s`,
    tried.map(({ name, count }) => `${count.toLocaleString('en')} ${name}`).join(', ') || '–',
    isGood ? 'all passed' : '**failed**',
  ];
  const row = `| ${cells.join(' | ')} |`;
  const text = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : '';
  const own = new RegExp(`^\\| \`npm run test:${part}\` \\|.*$`, 'm');
  if (!own.test(text)) {
    console.error(`docs/reliability.md has no row for ${part}; the record is: ${row}`);
    return;
  }
  writeFileSync(
    DOCUMENT,
    text.replace(own, () => row),
  );
}
