// Writes the event file of each case of make_cases.py, half of it at once and half line by line, as a resumed run does.
//   node compare.mjs FOLDER             needs a build
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const dist = new URL('../../../dist/training/run/', import.meta.url);
const { MetricsLog } = await import(new URL('metrics-log.js', dist));
const { TensorBoardLog } = await import(new URL('tensorboard-log.js', dist));

const [folder] = process.argv.slice(2);
for (const name of readdirSync(folder)) {
  const metrics = new MetricsLog(join(folder, name, 'metrics.jsonl'));
  const [steps, validations] = [await metrics.read(), await metrics.readValidations()];
  const middle = steps[steps.length >> 1]?.step ?? 0;
  const isEarly = ({ step }) => step <= middle;
  const target = join(folder, name, 'tensorboard');
  // Twice: the second one replaces the first.
  await TensorBoardLog.begin(target, steps, validations);
  const log = await TensorBoardLog.begin(target, steps.filter(isEarly), validations.filter(isEarly));
  for (const line of steps.filter((one) => !isEarly(one))) await log.addStep(line);
  for (const line of validations.filter((one) => !isEarly(one))) await log.addValidation(line);
}
