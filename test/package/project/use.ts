// What a strict TypeScript project sees of the package.
import { Engine, HintError, parseTrainingConfig, type TrainingConfig } from 'hint-engine';

export async function answer(input: string): Promise<string> {
  await using engine = await Engine.open('run/model');
  const task = await engine.compile({ definition: 'Name the colour in the list.' });
  const [first] = await task.generate([input]);
  if (first === undefined) throw new HintError('INTERNAL', 'Nothing was generated.');
  const text: string = first.text;
  return text;
}

const config: TrainingConfig = parseTrainingConfig({});
// @ts-expect-error: types that are lost along the way would be any, and this no error.
export const wrong: string = config.batchSize;
