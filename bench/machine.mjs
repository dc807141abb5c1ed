/* eslint-disable @typescript-eslint/explicit-module-boundary-types -- the types stand in JSDoc */
// Where and with what something was measured.
import { spawnSync } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { platformReport } from '../dist/tensor/device.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** @returns the machine and the versions, for a results file */
export function describeMachine() {
  const { oneDNN, cores, isa } = platformReport();
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores,
    isa,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    oneDNN,
  };
}

/** @returns what belongs to one measurement: when, of which state of the repository, under which load */
export function describeMoment() {
  const git = (...words) => spawnSync('git', words, { cwd: ROOT, encoding: 'utf8' }).stdout?.trim() ?? '';
  return {
    started: new Date().toISOString(),
    commit: git('rev-parse', '--short=12', 'HEAD') || 'unknown',
    uncommitted: git('status', '--porcelain', '--', 'native', 'bindings', 'src') !== '',
    loadAverage: loadavg().map((load) => Math.round(load * 100) / 100),
  };
}

/** @returns {string} a CPU's name as part of a file name */
export function cpuSlug(model) {
  const words = model.replace(/\((r|tm)\)|cpu|processor|@/gi, ' ').match(/[a-z0-9.]+/gi) ?? ['cpu'];
  return words.join('-').toLowerCase();
}
