import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeDemoDataset } from '../../../demo/files.js';
import { writeDemoP3 } from '../../../demo/p3.js';
import { generatePretrainingPairs } from '../../../demo/pretraining.js';
import type { Grid, ModuleSizes, StartingModel } from '../../../reproduce/index.js';
import { writeFileAtomic } from '../../../util/atomic-file.js';
import { packageRoot } from '../../../util/package-root.js';
import { DEMO_SEED } from '../../../demo/settings.js';

/** The demo's data, text and model, and the settings that suit their size. */
export interface DemoWorld {
  readonly data: string;
  /** What results call the data. */
  readonly dataName: string;
  readonly text: readonly string[];
  readonly model: StartingModel;
  readonly steps: number;
  readonly pretrainSteps: number;
  readonly sizes: ModuleSizes;
  readonly training: object;
  readonly pretraining: object;
  readonly instances: number;
  readonly maxTokens: number;
}

const DOCUMENTS = 20_000;
const STEPS = 300;
const PRETRAINING_STEPS = 300;

/** Writes the tasks, or the prompts, and the text of {@link demoWorld}, unless they are there. @throws HintError IO */
export async function writeDemoWorld(folder: string, dataset: Grid['dataset']): Promise<void> {
  const { data, text } = placesIn(folder, dataset);
  if (!existsSync(data))
    await (dataset === 'p3' ? writeDemoP3(data, DEMO_SEED) : writeDemoDataset(data, { seed: DEMO_SEED }));
  if (existsSync(text)) return;
  const pairs = generatePretrainingPairs({ seed: DEMO_SEED, documents: DOCUMENTS });
  const lines = Array.from(pairs, ({ input, target }) => JSON.stringify({ text: `${input} ${target}` }));
  await writeFileAtomic(text, `${lines.join('\n')}\n`);
}

/** The demo's world as {@link writeDemoWorld} writes it below a folder. */
export function demoWorld(folder: string, dataset: Grid['dataset']): DemoWorld {
  const isP3 = dataset === 'p3';
  const { data, text } = placesIn(folder, dataset);
  const init = join(packageRoot(), 'models', 'demo-t5');
  const shared = { batchSize: 64, tokenBudget: 16_384, learningRate: 0.01, schedule: 'linear', firstStep: 0 };
  return {
    data,
    dataName: isP3 ? "the demo's procedural prompts" : "the demo's procedural tasks",
    text: [text],
    model: { label: 'demo-t5', init },
    steps: STEPS,
    pretrainSteps: PRETRAINING_STEPS,
    sizes: { adapterSize: 8, prefixLength: 4 },
    training: { ...shared, dropout: 0, logEvery: 10 },
    // Documents are short: a text segment has two or three of them.
    pretraining: { ...shared, logEvery: 10, data: { segmentTokens: 96, documentsPerGroup: 16 } },
    instances: 10,
    maxTokens: 12,
  };
}

function placesIn(folder: string, dataset: Grid['dataset']): { data: string; text: string } {
  return { data: join(folder, dataset === 'p3' ? 'prompts' : 'data'), text: join(folder, 'text.jsonl') };
}
