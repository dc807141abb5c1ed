import type { TrainingConfigInput } from '../training/config/config.js';

/** The small T5 v1.1 all three systems start from: 0.9 M parameters, shipped in models/demo-t5. */
export const DEMO_MODEL = {
  model_type: 't5',
  architectures: ['T5ForConditionalGeneration'],
  vocab_size: 424,
  d_model: 128,
  d_kv: 16,
  d_ff: 256,
  num_layers: 2,
  num_decoder_layers: 2,
  num_heads: 8,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  layer_norm_epsilon: 1e-6,
  dropout_rate: 0,
  feed_forward_proj: 'gated-gelu',
  is_encoder_decoder: true,
  tie_word_embeddings: false,
  pad_token_id: 0,
  eos_token_id: 1,
  decoder_start_token_id: 0,
};

/** Seed of the dataset, the pretraining text and the runs. */
export const DEMO_SEED = 1;

/** Documents of the pretraining text. */
export const PRETRAINING_DOCUMENTS = 120_000;

/** How models/demo-t5 is made: prefix LM on procedural text, minutes on two cores. */
export function pretrainingConfig(
  data: string,
  tokenizer: string,
  output: string,
  steps: number,
): TrainingConfigInput {
  return {
    system: 'no-instruct',
    model: { init: { config: DEMO_MODEL }, tokenizer },
    data: { directory: data },
    output,
    steps,
    batchSize: 64,
    learningRate: 0.02,
    schedule: 'linear',
    warmupSteps: 100,
    dropout: 0,
    saveEvery: 500,
    logEvery: 50,
    seed: DEMO_SEED,
  };
}

export const PRETRAINING_STEPS = 3000;

/** Systems of the demo, in the order of the table. */
export const DEMO_SYSTEMS = ['hint', 'tk-instruct', 'no-instruct'] as const;
export type DemoSystem = (typeof DEMO_SYSTEMS)[number];

/** Updates of each system's training; the same for all three. */
export const TRAINING_STEPS = 300;

/** How a system is trained from models/demo-t5. */
export function trainingConfig(
  system: DemoSystem,
  init: string,
  data: string,
  output: string,
  steps: number,
  seed: number,
): TrainingConfigInput {
  return {
    system,
    model: { init, ...(system === 'hint' ? { hint: { adapterSize: 8, prefixLength: 4 } } : {}) },
    data: { directory: data },
    output,
    steps,
    batchSize: 64,
    tokenBudget: 16_384,
    learningRate: 0.01,
    schedule: 'linear',
    dropout: 0,
    saveEvery: steps,
    keepCheckpoints: 1,
    logEvery: 10,
    seed,
  };
}
