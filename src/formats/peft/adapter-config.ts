import { join } from 'node:path';
import { z } from 'zod';
import { check } from '../../util/check.js';
import { HintError } from '../../util/errors.js';
import { readJson } from '../../util/read-file.js';
import { recordOf } from '../../util/record-schema.js';
import { showValue } from '../../util/show-value.js';

/** The file by which a folder is known to hold an adapter of PEFT. */
export const ADAPTER_CONFIG = 'adapter_config.json';

const nothing = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === false ||
  (typeof value === 'object' && Object.keys(value).length === 0);

/** Keys that ask for what is not computed here, unless their value is one that asks for nothing. */
const NOT_COMPUTED: Readonly<Record<string, (value: unknown) => boolean>> = {
  use_dora: nothing,
  lora_bias: nothing,
  fan_in_fan_out: nothing,
  modules_to_save: nothing,
  trainable_token_indices: nothing,
  layer_replication: nothing,
  target_parameters: nothing,
  alora_invocation_tokens: nothing,
  use_qalora: nothing,
  use_bdlora: nothing,
  bias: (value) => nothing(value) || value === 'none',
  // These begin with changed weights of the model, which the adapter's files do not hold.
  init_lora_weights: (value) =>
    typeof value !== 'string' || ['gaussian', 'eva', 'orthogonal', 'true', 'false'].includes(value),
};

/** Variants of LoRA, which a configuration of their own turns on, but for what only chooses where training begins or runs. */
const VARIANT = /^(?!eva_|megatron_).*_config$/;

function asksForNothing(key: string, value: unknown): boolean {
  if (Object.hasOwn(NOT_COMPUTED, key)) return NOT_COMPUTED[key]!(value);
  return !VARIANT.test(key) || nothing(value);
}

const schema = z.looseObject({
  peft_type: z.string(),
  lora_alpha: z.number().optional(),
  use_rslora: z.boolean().optional(),
  alpha_pattern: recordOf(z.number()).nullish(),
});

/** What an adapter's configuration says of the size of what it adds. */
export interface AdapterScale {
  readonly path: string;
  /**
   * What `B A x` is multiplied with.
   *
   * @param module of the model that it is added to, such as `encoder.block.0.layer.0.SelfAttention.q`
   */
  scaleOf(module: string, rank: number): number;
}

/**
 * Reads adapter_config.json as PEFT writes it.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_CONFIG; NOT_SUPPORTED naming what is not computed here
 */
export async function readAdapterConfig(folder: string): Promise<AdapterScale> {
  const path = join(folder, ADAPTER_CONFIG);
  const { data, faults } = check(schema, await readJson(path, "the adapter's configuration"));
  if (!data) {
    const [fault] = faults;
    throw new HintError(
      'INVALID_CONFIG',
      `${path}: ${fault.path.join('.') || 'the whole'} ${fault.message}; write it with PEFT's save_pretrained.`,
    );
  }
  if (data.peft_type !== 'LORA') {
    throw new HintError(
      'NOT_SUPPORTED',
      `${path} describes an adapter of the type ${showValue(data.peft_type)}; only LORA is read.`,
    );
  }
  for (const [key, value] of Object.entries(data)) {
    if (!asksForNothing(key, value))
      throw new HintError(
        'NOT_SUPPORTED',
        `${path} sets ${key} to ${showValue(value)}, which is not computed here; train the adapter without it.`,
      );
  }
  const { lora_alpha: common = 8, use_rslora: isRankStabilised = false } = data;
  const own = patterns(path, data.alpha_pattern ?? {});
  const scaleOf = (module: string, rank: number): number => {
    const alpha = own.find(({ fits }) => fits(module))?.alpha ?? common;
    return alpha / (isRankStabilised ? Math.sqrt(rank) : rank);
  };
  return { path, scaleOf };
}

/** PEFT takes each key for an expression that the end of a module's name, behind a point, is to match. */
function patterns(
  path: string,
  alphas: Readonly<Record<string, number>>,
): { fits: (module: string) => boolean; alpha: number }[] {
  return Object.entries(alphas).map(([key, alpha]) => {
    const [, start, name] = /^(\^?)([\w.]+)$/.exec(key) ?? [];
    if (name === undefined)
      throw new HintError(
        'NOT_SUPPORTED',
        `${path} has the expression ${showValue(key)} in alpha_pattern; only names of modules are read, such as "decoder.block.0.layer.0.SelfAttention.q".`,
      );
    const fits = (module: string): boolean => module === name || (!start && module.endsWith(`.${name}`));
    return { fits, alpha };
  });
}
