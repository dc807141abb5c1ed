// Tests and measures the engine on a GPU, step by step; docs/cuda.md says how.
//   node scripts/gpu.mjs test | bench | all [--no-build] [--from N]
//     --no-build: builds the CUDA library alone, as where the archive of scripts/pack-gpu.mjs is unpacked
//     --from N: builds, then goes on with step N of the list, for a machine that ends a command before all is done
// HINT_OUTPUT: where the record goes (default: runs/gpu-test, runs/gpu-bench, runs/gpu-all). HINT_GPU_MINUTES: most that
// all steps may take together. HINT_GPU_SCALE=rehearsal: small sizes. HINT_CUDA_FOLDER: a CUDA library built elsewhere.
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { environment, root, unpacked } from './gpu/machine.mjs';
import { runSteps, summaryText } from './gpu/steps.mjs';
import { gpuSteps, scaleOf } from './gpu/table.mjs';

function usage() {
  console.error(
    'Usage: node scripts/gpu.mjs test|bench|all [--no-build] [--from N], with HINT_GPU_MINUTES above 0 where it is set',
  );
  process.exit(2);
}

const { values: options, positionals } = (() => {
  try {
    const known = { 'no-build': { type: 'boolean', default: false }, from: { type: 'string', default: '1' } };
    return parseArgs({ options: known, allowPositionals: true });
  } catch {
    return usage();
  }
})();
const [part = ''] = positionals;
const minutes = Number(process.env.HINT_GPU_MINUTES ?? Infinity);
const from = Number(options.from);
if (!['test', 'bench', 'all'].includes(part) || positionals.length > 1 || !(minutes > 0) || !(from >= 1))
  usage();
const folder = resolve(process.env.HINT_OUTPUT || join(root, 'runs', `gpu-${part}`));
Object.assign(process.env, environment());
const scale = process.env.HINT_GPU_SCALE || 'full';
const table = gpuSteps({
  scale: scaleOf(scale),
  build: !options['no-build'] && !unpacked(),
  results: join(folder, 'results'),
});
const steps = table
  .filter((step) => part === 'all' || step.part === part || step.part === 'build')
  .filter((step) => step.number >= from || step.part === 'build');
const facts = { date: new Date().toISOString(), part, scale };
const outcomes = await runSteps(steps, { folder, minutes, cwd: root, facts });
console.log(`${summaryText(outcomes)}\nWritten: ${folder}`);
process.exitCode = outcomes.some(({ state }) => state === 'failed' || state === 'out of time') ? 1 : 0;
