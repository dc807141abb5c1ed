import type { DecoderOnlyFamily } from '../model/decoder-only/config.js';
import { plainT5 } from './hypernetwork-plan.js';
import { ALL_GROUP, readsWholePrompt, type System } from './system.js';

/**
 * A decoder-only baseline (method §3.5): fully fine-tuned with AdamW, a linear warm-up over 1,000 steps and then a
 * linear decay, on the target tokens only. It reads the baseline's text, whose first part, the instruction, is run
 * once per task when the model is used.
 */
export function decoderOnly(name: DecoderOnlyFamily, rest: Pick<System, 'summary' | 'paper'>): System {
  return {
    name,
    ...rest,
    setting: (positives) => ({ format: 'causal', positives }),
    p3Setting: readsWholePrompt(name),
    ...plainT5(name),
    family: name,
    groups: [ALL_GROUP],
    training: {
      optimizer: { name: 'adamw' },
      learningRate: 2e-5,
      schedule: 'linear',
      warmupSteps: 1000,
      batchSize: 32,
      zLoss: 0,
    },
  };
}
