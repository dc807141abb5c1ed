// What a strict TypeScript project sees of the package.
import { Engine, HintError, parseTrainingConfig, type TrainingConfig } from 'hint-engine';

import { Device, ops } from 'hint-engine/tensor';
import { openTinyEngine } from 'hint-engine/testing';

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

export async function doubled(): Promise<Float32Array> {
  const device = new Device();
  return ops.scale(device.full([2], 1), 2).read();
}

export async function tiny(): Promise<string> {
  await using engine = await openTinyEngine({ words: ['red'] });
  return (await engine.submit({ task: { definition: 'Name the colour.' }, input: 'red' })).text;
}
