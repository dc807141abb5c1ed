import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mutateBytes, Random } from './mutate.mjs';
import { corpusOf, PARSERS } from './parsers.mjs';

/** The limits in the child: an eighth of the default memory and a fifth of its time, so that many inputs reach them. */
const FILE_MEMORY = '32MiB';
const FILE_SECONDS = '2';
/**
 * The most processor time of an input, including loading the parser's modules and fixtures. Processor time, because a
 * busy machine is no finding.
 */
const MOST_SECONDS = 10;
/** The most wall time: an input that waits without computing is a finding, too. */
const MOST_WAIT_SECONDS = 120;
const MOST_RSS = 900 * 2 ** 20;
const OLD_SPACE_MIB = 700;
// The process is restarted after this many inputs, so that effects of one input are not attributed to another.
const INPUTS_PER_CHILD = 1500;
const WATCH_MILLISECONDS = 50;
// The most inputs that are changed further; inputs with new outcomes join them.
const MOST_POOL = 200;
const MOST_INPUT = 4_000_000;
const MOST_KEPT_BYTES = 2048;
// Inputs of a parser in the corpus beside findings, which are always kept.
const MOST_KEPT = 12;
const MINIMISING_RUNS = 60;

/** One child at a time, restarted when it is lost. */
export class Runner {
  #child;
  #inputs = 0;
  #folder = mkdtempSync(join(tmpdir(), 'hint-fuzz-'));

  async run(name, bytes) {
    if (!this.#child || this.#inputs++ >= INPUTS_PER_CHILD) await this.#start();
    const child = this.#child;
    return new Promise((done) => {
      const began = performance.now();
      const before = secondsOf(child.pid);
      let most = 0;
      const finish = (result) => {
        clearInterval(watch);
        child.off('message', onMessage).off('exit', onExit);
        done(result);
      };
      const lose = (fault) => {
        this.#child = undefined;
        child.kill('SIGKILL');
        finish({ fault });
      };
      const onMessage = (message) => {
        if (message.rss > MOST_RSS) return lose(`it takes ${Math.round(message.rss / 2 ** 20)} MiB`);
        finish(message);
      };
      const onExit = (code, signal) => {
        this.#child = undefined;
        finish({ fault: `the process died (${signal ?? code}) at ${Math.round(most / 2 ** 20)} MiB` });
      };
      const watch = setInterval(() => {
        most = Math.max(most, rssOf(child.pid));
        if (most > MOST_RSS) lose(`it takes ${Math.round(most / 2 ** 20)} MiB`);
        else if (secondsOf(child.pid) - before > MOST_SECONDS) lose(`it takes longer than ${MOST_SECONDS} s`);
        else if (performance.now() - began > 1000 * MOST_WAIT_SECONDS) lose('it waits for ever');
      }, WATCH_MILLISECONDS);
      child.on('message', onMessage).on('exit', onExit);
      child.send({ name, bytes: bytes.toString('base64') });
    });
  }

  async #start() {
    this.#child?.kill('SIGKILL');
    this.#inputs = 0;
    this.#child = fork(join(import.meta.dirname, 'child.mjs'), [this.#folder], {
      execArgv: [`--max-old-space-size=${OLD_SPACE_MIB}`],
      env: { ...process.env, HINT_FILE_MEMORY: FILE_MEMORY, HINT_FILE_SECONDS: FILE_SECONDS },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const child = this.#child;
    await new Promise((ready, lost) => {
      child.once('message', ready);
      child.once('exit', (code) =>
        lost(new Error(`The fuzzing process could not start (${code}); build first.`)),
      );
    });
    child.removeAllListeners('exit');
  }

  /** Ends the child. */
  close() {
    this.#child?.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function rssOf(pid) {
  try {
    return 4096 * Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
  } catch {
    return 0;
  }
}

/** Processor time of a process so far. */
function secondsOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold anything; clock ticks are hundredths of a second.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}

/**
 * Fuzzes one parser.
 *
 * @param options.seed of the random changes; the same seed and number of inputs give the same inputs
 * @param options.inputs most inputs, those of the corpus not counted
 * @param options.milliseconds most time
 * @param options.runner is shared by several parsers and closed by its owner; absent: one of its own
 * @param options.keep whether findings, and small inputs with an outcome that is new, are written into the corpus
 * @returns counts and findings, minimised
 */
export async function fuzzParser(
  name,
  { seed = 1, inputs = Infinity, milliseconds = Infinity, keep = false, runner: shared },
) {
  const parser = PARSERS[name];
  const end = performance.now() + milliseconds;
  const words = parser.words ?? [];
  const random = new Random(seed ^ createHash('sha256').update(name).digest().readUInt32LE(0));
  const runner = shared ?? new Runner();
  const outcomes = new Map();
  const findings = [];
  let count = 0;
  try {
    const seeds = (await parser.seeds()).map((bytes) => Buffer.from(bytes));
    const pool = [...seeds];
    const attempt = async (bytes, isKnown) => {
      count++;
      const result = await runner.run(name, bytes);
      if (result.fault) {
        const fault = signature(result.fault);
        if (findings.some((one) => signature(one.fault) === fault)) return;
        const smallest = await minimised(runner, name, bytes, fault);
        findings.push({ parser: name, fault: result.fault, bytes: smallest });
        if (keep) save(name, smallest, 'finding');
        return;
      }
      const isNew = !outcomes.has(result.outcome);
      outcomes.set(result.outcome, (outcomes.get(result.outcome) ?? 0) + 1);
      if (!isNew || isKnown) return;
      if (pool.length < MOST_POOL) pool.push(bytes);
      if (keep && bytes.length <= MOST_KEPT_BYTES && result.outcome !== 'read') save(name, bytes, 'outcome');
    };
    for (const bytes of seeds) await attempt(bytes, true);
    for (const { bytes } of corpusOf(name)) {
      await attempt(bytes, true);
      pool.push(bytes);
    }
    for (let i = 0; i < inputs && performance.now() < end; i++) {
      let bytes = random.of(pool);
      const rounds = 1 + random.below(2);
      for (let round = 0; round < rounds; round++) {
        const mutate = random.below(6) === 0 ? mutateBytes : parser.mutate;
        bytes = mutate(random, bytes, words).subarray(0, MOST_INPUT);
      }
      await attempt(bytes, false);
    }
  } finally {
    if (!shared) runner.close();
  }
  return { inputs: count, outcomes: outcomes.size, findings };
}

function signature(fault) {
  return fault.replace(/\d+/g, '#').split('\n').slice(0, 3).join(' ').slice(0, 160);
}

/** Removes parts of an input as long as it fails in the same way. */
async function minimised(runner, name, bytes, fault) {
  let smallest = bytes;
  let runs = 0;
  for (
    let size = Math.ceil(bytes.length / 2);
    size >= 1 && runs < MINIMISING_RUNS;
    size = Math.floor(size / 2)
  ) {
    for (let at = 0; at < smallest.length && runs < MINIMISING_RUNS;) {
      const shorter = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)]);
      runs++;
      const result = await runner.run(name, shorter);
      if (result.fault && signature(result.fault) === fault) smallest = shorter;
      else at += size;
    }
  }
  return smallest;
}

function save(name, bytes, kind) {
  const folder = join(import.meta.dirname, 'corpus', name);
  mkdirSync(folder, { recursive: true });
  if (kind === 'outcome' && readdirSync(folder).length >= MOST_KEPT) return;
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
  writeFileSync(join(folder, `${kind}-${hash}`), bytes);
}
