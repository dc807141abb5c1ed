// Runs the job of docs/trainer.md with hint train and with Hugging Face's Trainer, and prints what each says and leaves behind.
//   HINT_PEER_PYTHON=~/venv/bin/python node bench/side-by-side/run.mjs [FOLDER]
//     HINT_PEER_PYTHON: a Python with torch, transformers and accelerate (default python3); FOLDER: a new one, kept (default: a temporary one)
//   The project must be built.
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateDemoDataset } from '../../dist/demo/dataset.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const here = fileURLToPath(new URL('.', import.meta.url));
const folder = process.argv[2] ? resolve(process.argv[2]) : mkdtempSync(join(tmpdir(), 'side-by-side-'));
const TRAINED = { tasks: 40, each: 24 };
const VALIDATED = { tasks: 10, each: 6 };

mkdirSync(folder, { recursive: true });
cpSync(join(root, 'models/demo-t5'), join(folder, 'models/demo-t5'), { recursive: true });
const { train, test } = generateDemoDataset({ seed: 0 });
writeRecords('train.jsonl', train, TRAINED);
writeRecords('validation.jsonl', test, VALIDATED);
for (const name of ['job.json', 'trainer.py']) copyFileSync(join(here, name), join(folder, name));

const python = process.env.HINT_PEER_PYTHON ?? 'python3';
const hint = join(root, 'dist/bundle/cli/main.js');
show('hint train --config job.json', process.execPath, [hint, 'train', '--config', 'job.json'], 'runs/hint');
show('python trainer.py', python, ['trainer.py'], 'runs/hf');

function writeRecords(file, tasks, { tasks: count, each }) {
  const records = tasks
    .slice(0, count)
    .flatMap(({ Definition: [instruction], Instances }) =>
      Instances.slice(0, each).map(({ input, output: [output] }) =>
        JSON.stringify({ instruction, input, output }),
      ),
    );
  writeFileSync(join(folder, file), `${records.join('\n')}\n`);
}

function show(title, command, parameters, output) {
  const started = Date.now();
  // What is printed on either stream, in its order.
  const both = ['-c', 'exec "$@" 2>&1', 'sh', command, ...parameters];
  const { status, stdout } = spawnSync('/bin/sh', both, { cwd: folder, encoding: 'utf8' });
  console.log(`$ ${title}\n${stdout}`);
  if (status !== 0) {
    console.error(`${title} ended with ${status}.`);
    process.exit(1);
  }
  console.log(`${((Date.now() - started) / 1000).toFixed(1)} s, start included. In ${output}:`);
  const files = readdirSync(join(folder, output), { recursive: true, withFileTypes: true });
  for (const file of files.filter((one) => one.isFile())) {
    const path = join(file.parentPath, file.name);
    console.log(`  ${relative(join(folder, output), path)} ${statSync(path).size}`);
  }
  console.log();
}
