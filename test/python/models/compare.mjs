// Opens the models that make_cases.py has written, compares their answers with those of transformers, and writes each
// model after a step of training, with its answers, for check_cases.py.
//   node test/python/models/compare.mjs FOLDER
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildBatch, generateTokens, openModel, saveModel, scoreChoices } from '../../../dist/index.js';
import { Device, Gradients, ops, Tape } from '../../../dist/tensor/index.js';

const BOUND = 2e-5;
const folder = process.argv[2];
const device = new Device({ threads: 1 });
let failed = 0;
let unsure = 0;
const names = readdirSync(folder);
for (const name of names) {
  const directory = join(folder, name);
  const expected = JSON.parse(readFileSync(join(directory, 'expected.json'), 'utf8'));
  const { model_type: kind, feed_forward_proj: projection } = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'));
  const faults = [];
  const model = await openModel(device, directory);
  const answers = await answer(model, expected);
  for (const [i, { scores, greedy, sure }] of expected.answers.entries()) {
    const difference = relative(answers[i].scores, scores);
    if (!(difference <= BOUND)) faults.push(`scores of input ${i} differ by ${difference.toExponential(1)}`);
    if (!sure) unsure++;
    else if (`${answers[i].greedy}` !== `${greedy}`) faults.push(`input ${i}: ${answers[i].greedy} instead of ${greedy}`);
  }
  await train(model, expected);
  const saved = join(directory, 'trained');
  await saveModel(model, saved);
  writeFileSync(join(saved, 'answers.json'), JSON.stringify({ ...expected, answers: await answer(model, expected) }));
  model.dispose();
  if (faults.length > 0) failed++;
  for (const fault of faults) console.error(`seed ${name} (${kind} ${projection ?? ''}): ${fault}`);
}
console.log(`${names.length} models of transformers opened here: ${failed} differ; ${unsure} greedy answers were too close to tell`);
device.close();
process.exit(failed === 0 ? 0 : 1);

/** Log-probabilities of the target with every token behind it, and greedy tokens, per input. */
async function answer(model, { inputs, target, answers }) {
  const ids = inputs.map((input) => Int32Array.from(input));
  const every = Array.from({ length: model.config.vocabSize }, (_, token) => Int32Array.of(...target, token));
  const scored = await scoreChoices(model, { instructions: [], inputs: ids, choices: ids.map(() => every) });
  const made = await generateTokens(model, { instructions: [], inputs: ids, maxTokens: 6 });
  return answers.map((_, i) => ({ scores: scored[i].scores, greedy: [...made[i].tokens] }));
}

/** A step down the gradient of one example's loss. */
async function train(model, { inputs, target }) {
  const [input] = inputs;
  const none = new Int32Array(0);
  const example = { id: 'one', task: 'one', instruction: none, input: Int32Array.from(input), target: Int32Array.from(target) };
  const batch = buildBatch([{ ...example, references: [] }]);
  const gradients = new Gradients(device);
  const tape = new Tape(device, model.parameters.all());
  const loss = tape.run(() => ops.sum(device.now(model.loss(batch)).loss));
  tape.backward([loss], gradients);
  for (const [name, parameter] of model.parameters.entries()) {
    const gradient = gradients.get(parameter);
    if (!gradient) continue;
    const [values, slopes] = [await model.parameters.read(name), await gradient.read()];
    device.write(parameter, values.map((value, i) => value - 0.01 * slopes[i]));
  }
  gradients.dispose();
}

/** max |a − b| / max |b|. */
function relative(a, b) {
  const worst = Math.max(...b.map((value, i) => Math.abs(value - a[i])));
  return worst / Math.max(...b.map(Math.abs));
}
