import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { MetricsLog } from '../../src/training/run/metrics-log.js';
import { TensorBoardLog } from '../../src/training/run/tensorboard-log.js';

it('lines of validations that lack what readers look into are passed over, and curves are written of the others', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hint-metrics-'));
  try {
    const path = join(folder, 'metrics.jsonl');
    const perTask: unknown = JSON.parse('{"colour":{"loss":2},"__proto__":{"loss":2}}');
    const whole = { metric: 'loss', loss: 2, score: 2, perTask };
    const torn = [
      { ...whole, perTask: undefined },
      { ...whole, perTask: null },
      { ...whole, perTask: { colour: null } },
      { ...whole, metric: undefined },
      { ...whole, score: null },
    ];
    const lines = [whole, ...torn].map((validation) => JSON.stringify({ step: 1, validation }));
    await writeFile(path, [...lines, '{"step":1e999,"loss":1}', '{"step":-1,"loss":1}', ''].join('\n'));
    const log = new MetricsLog(path);
    const [steps, validations] = [await log.read(), await log.readValidations()];
    expect(steps).toEqual([]);
    expect(validations.map(({ validation }) => validation)).toEqual([whole]);
    expect(Object.keys(validations[0]!.validation.perTask)).toEqual(['colour', '__proto__']);
    await TensorBoardLog.begin(join(folder, 'tensorboard'), steps, validations);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
