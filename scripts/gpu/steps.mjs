// Runs a table of steps one after the other, each in its own process group and with its own time limit. Results are
// written after every step, so that a run that is cut off leaves the record of earlier steps.
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {number} [number] in the list that it is taken from; its place among the steps without it
 * @property {number} minutes that it has for itself; twice as long where the steps before left as much of theirs
 * @property {string[][]} commands run in this order until one fails; each a program and its arguments
 * @property {Record<string, string>} [env] added to the environment
 * @property {string} [skip] why it cannot run here
 *
 * @typedef {object} Outcome
 * @property {string} name
 * @property {'ok' | 'failed' | 'out of time' | 'skipped'} state
 * @property {number} seconds
 * @property {string} [why]
 * @property {string[]} tail the last lines that it printed
 */

const KEPT_LINES = 12;

/**
 * @param {Step[]} steps
 * @param {{ folder: string, minutes?: number, cwd?: string, print?: (line: string) => void, facts?: object }} options
 *   `folder` gets log.txt, summary.txt, summary.json and, where steps left files in its `results`, results.tar.gz;
 *   `minutes` is what all steps may take together, never more than the sum of their own
 * @returns {Promise<Outcome[]>}
 */
export async function runSteps(steps, { folder, minutes = Infinity, cwd, print = console.log, facts = {} }) {
  mkdirSync(folder, { recursive: true });
  const log = join(folder, 'log.txt');
  writeFileSync(log, '');
  const started = performance.now();
  /** Minutes of the steps so far, that at hand included. */
  let granted = 0;
  /** @type {Outcome[]} */
  const outcomes = [];
  for (const [index, step] of steps.entries()) {
    const used = (performance.now() - started) / 60_000;
    granted += step.minutes;
    const allowed = Math.min(2 * step.minutes, granted - used, minutes - used);
    const title = `${step.number ?? index + 1}/${steps.at(-1)?.number ?? steps.length} ${step.name}`;
    print(`== ${title}: at most ${shown(Math.max(0, allowed) * 60)}`);
    appendFileSync(log, `== ${title}\n`);
    const outcome = step.skip
      ? { name: step.name, state: 'skipped', seconds: 0, why: step.skip, tail: [] }
      : allowed <= 0
        ? { name: step.name, state: 'skipped', seconds: 0, why: 'no time is left', tail: [] }
        : await runStep(step, allowed * 60_000, log, cwd);
    outcomes.push(outcome);
    for (const line of outcome.tail) print(`   ${line}`);
    print(`== ${title}: ${verdict(outcome)}`);
    writeSummary(folder, steps, outcomes, facts);
  }
  return outcomes;
}

/** @returns {Promise<Outcome>} */
async function runStep({ name, commands, env }, milliseconds, log, cwd) {
  const started = performance.now();
  let tail = '';
  const keep = (chunk) => {
    appendFileSync(log, chunk);
    tail = (tail + chunk).slice(-20_000);
  };
  /** @type {Outcome['state']} */
  let state = 'ok';
  let why;
  for (const [command, ...parameters] of commands) {
    keep(`$ ${[command, ...parameters].join(' ')}\n`);
    const left = milliseconds - (performance.now() - started);
    const ended = await runCommand(command, parameters, { cwd, env: { ...process.env, ...env } }, left, keep);
    if (!ended) continue;
    state = ended === OUT_OF_TIME ? 'out of time' : 'failed';
    why = `${command} ${parameters.slice(0, 3).join(' ')}: ${ended}`;
    break;
  }
  const lines = tail.split(/[\r\n]+/).filter((line) => line.trim() !== '');
  return {
    name,
    state,
    seconds: (performance.now() - started) / 1000,
    ...(why && { why }),
    tail: lines.slice(-KEPT_LINES),
  };
}

const OUT_OF_TIME = 'its time was up, it was ended';

/** @returns {Promise<string | undefined>} why it did not succeed */
function runCommand(command, parameters, options, milliseconds, keep) {
  return new Promise((resolve) => {
    // In its own process group, so that its children end with it.
    const child = spawn(command, parameters, {
      ...options,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let late = false;
    let grace;
    const timer = setTimeout(() => {
      late = true;
      endGroup(child.pid);
      // A grandchild in another group may hold the pipes open.
      grace = setTimeout(() => finish(OUT_OF_TIME), 5_000);
    }, milliseconds);
    const finish = (why) => {
      clearTimeout(timer);
      clearTimeout(grace);
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve(why);
    };
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', keep);
    child.on('error', (error) => finish(error.message));
    child.on('close', (code, signal) => {
      if (late) finish(OUT_OF_TIME);
      else finish(code === 0 ? undefined : signal ? `ended by ${signal}` : `exit code ${code}`);
    });
  });
}

function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function writeSummary(folder, steps, outcomes, facts) {
  const waiting = steps.slice(outcomes.length).map(({ name }) => name);
  writeFileSync(
    join(folder, 'summary.json'),
    `${JSON.stringify({ ...facts, steps: outcomes, waiting }, null, 1)}\n`,
  );
  writeFileSync(join(folder, 'summary.txt'), `${summaryText(outcomes, waiting)}\n`);
  const results = join(folder, 'results');
  // One archive, because some machines return only a few files.
  if (existsSync(results) && readdirSync(results).length > 0)
    spawnSync('tar', ['-czf', join(folder, 'results.tar.gz'), '-C', folder, 'results']);
}

/** @param {Outcome[]} outcomes @param {string[]} waiting names of steps that have not begun */
export function summaryText(outcomes, waiting = []) {
  const count = (state) => outcomes.filter((outcome) => outcome.state === state).length;
  return [
    ...outcomes.map((outcome) => `${outcome.state.padEnd(12)} ${outcome.name} (${verdict(outcome)})`),
    ...waiting.map((name) => `${'not begun'.padEnd(12)} ${name}`),
    `${count('ok')} ok, ${count('failed')} failed, ${count('out of time')} out of time, ${count('skipped')} skipped, ${waiting.length} not begun`,
  ].join('\n');
}

function verdict({ state, seconds, why }) {
  return `${state}, ${shown(seconds)}${why ? `; ${why}` : ''}`;
}

function shown(seconds) {
  return seconds >= 119.5 ? `${(seconds / 60).toFixed(1)} min` : `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
}
