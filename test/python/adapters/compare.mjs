// Opens the models and adapters that make_cases.py has written, and compares their answers with those of PEFT: one adapter at
// a time, and all adapters of a model and the model itself in common batches.
//   node test/python/adapters/compare.mjs FOLDER
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Engine } from '../../../dist/index.js';

const BOUND = 2e-5;
const STEPS = 6;
const folder = process.argv[2];
let failed = 0;
let compared = 0;
let unsure = 0;
for (const name of readdirSync(folder)) {
  const directory = join(folder, name);
  const faults = [];
  const engine = await Engine.open(directory, { threads: 1 });
  const requests = [];
  for (const adapter of ['first', 'second']) {
    const { inputs, target, answers } = JSON.parse(
      readFileSync(join(directory, adapter, 'expected.json'), 'utf8'),
    );
    const task = await engine.loadTask(join(directory, adapter));
    const ids = inputs.map((input) => Int32Array.from(input));
    const every = Array.from({ length: engine.model.config.vocabSize }, (_, token) =>
      Int32Array.of(...target, token),
    );
    const scored = await task.scoreChoices(ids, every);
    const made = await task.generate(ids, { maxTokens: STEPS });
    for (const [i, { scores, greedy, sure }] of answers.entries()) {
      compared++;
      const difference = relative(scored[i].scores, scores);
      if (!(difference <= BOUND))
        faults.push(`${adapter}: scores of input ${i} differ by ${difference.toExponential(1)}`);
      if (!sure) unsure++;
      else if (`${made[i].tokens}` !== `${greedy}`)
        faults.push(`${adapter}: ${made[i].tokens} instead of ${greedy}`);
    }
    ids.forEach((input, i) => requests.push({ task, input, alone: made[i].tokens }));
  }
  const plain = await engine.plain();
  const inputs = requests.map(({ input }) => input);
  const without = await plain.generate(inputs, { maxTokens: STEPS });
  const mixed = inputs.flatMap((input, i) => [{ task: plain, input, alone: without[i].tokens }, requests[i]]);
  const asked = mixed.map(({ task, input }) => ({ task, input }));
  const together = await engine.generate(asked, { maxTokens: STEPS });
  together.forEach(({ tokens }, i) => {
    if (`${tokens}` !== `${mixed[i].alone}`)
      faults.push(`request ${i} of a common batch: ${tokens} instead of ${mixed[i].alone}`);
  });
  await engine.close();
  if (faults.length > 0) failed++;
  for (const fault of faults) console.error(`seed ${name}: ${fault}`);
}
console.log(
  `${compared} answers of adapters of PEFT compared: ${failed} models differ; ${unsure} greedy answers were too close to tell`,
);
process.exit(failed === 0 && compared > 0 ? 0 : 1);

/** max |a − b| / max |b|. */
function relative(a, b) {
  const worst = Math.max(...b.map((value, i) => Math.abs(value - a[i])));
  return worst / Math.max(...b.map(Math.abs));
}
