// A command that writes until it is told to end: node ended-writer.mjs FOLDER. With every write the content grows by
// one, and every file states its own expected content. With "hang" as a second argument it stops in the middle of the
// first file and folder.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { untilAsked, watchForEnding } from '../../dist/cli/support/ending.js';
import { packExamples, writeTokenCache } from '../../dist/data/token-cache.js';
import { writeSafetensors } from '../../dist/formats/safetensors/writer.js';
import { RunDirectory } from '../../dist/training/run/run-directory.js';
import { writeDirectoryAtomically } from '../../dist/util/atomic-directory.js';
import { writeFileAtomic, writeFileAtomically } from '../../dist/util/atomic-file.js';
import { throwIfAborted } from '../../dist/util/errors.js';

watchForEnding();
const [folder, hang] = process.argv.slice(2);
const at = (...names) => join(folder, ...names);

const VALUES = 1 << 14;

const tensors = (round) =>
  ['a', 'b', 'c'].map((name) => ({
    name,
    dtype: 'F32',
    shape: [VALUES],
    data: () => Promise.resolve(new Uint8Array(new Float32Array(VALUES).fill(round).buffer)),
  }));

const examples = (round) => [
  {
    id: 'x',
    task: 't',
    instruction: Int32Array.of(round),
    input: Int32Array.of(1),
    target: Int32Array.of(2),
    references: [],
  },
];

/** One write of each kind. */
async function writeAll(round, signal) {
  await writeFileAtomic(at('predictions.jsonl'), `${JSON.stringify({ round })}\n`.repeat(5_000));
  await writeSafetensors(at('task.safetensors'), tensors(round), { round: String(round) }, signal);
  await writeTokenCache(at('tokens'), packExamples(examples(round), Buffer.alloc(32, 1)));
  await new RunDirectory(at('run')).saveCheckpoint(
    { step: round, tokens: round, source: {}, fingerprint: '' },
    2,
    async (inside) => {
      await writeFile(join(inside, 'config.json'), '{}');
      for (const name of ['model', 'optimizer'])
        await writeSafetensors(join(inside, `${name}.safetensors`), tensors(round), {}, signal);
    },
  );
  await writeDirectoryAtomically(at('model'), async (inside) => {
    for (const name of ['one', 'two']) await writeFileAtomic(join(inside, name), String(round));
  });
}

const never = () => new Promise((resolve) => setTimeout(resolve, 1e6));

async function writeHalf() {
  const half = async (path) =>
    writeFileAtomically(path, async (append) => {
      await append('half');
      await never();
    });
  await Promise.all([
    half(at('predictions.jsonl')),
    writeDirectoryAtomically(at('model'), (inside) => half(join(inside, 'one'))),
  ]);
}

await untilAsked(
  async (signal) => {
    await writeAll(1, signal);
    process.stdout.write('ready\n');
    if (hang) await writeHalf();
    for (let round = 2; ; round++) {
      throwIfAborted(signal);
      await writeAll(round, signal);
    }
  },
  (error) => (error.code === 'ABORTED' ? 130 : (console.error(error), 1)),
);
