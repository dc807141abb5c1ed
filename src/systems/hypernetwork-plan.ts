import { HintError } from '../util/errors.js';
import {
  parseModelConfig,
  serializeModelConfig,
  type GeneratorKind,
  type HintConfig,
  type ModelConfig,
} from '../model/config/config.js';

/** The fields of a hypernetwork that a run sets differently from its system. */
export type HintOptions = { readonly [K in keyof HintConfig]?: HintConfig[K] | undefined };

/** The hypernetwork of a system, and the fields of it that a run may set. */
export interface HypernetworkPlan {
  /** What a configuration that says nothing else gets. */
  readonly defaults: HintConfig;
  /** Fields that a run may set; the others define the system. */
  readonly options: readonly (keyof HintConfig)[];
  /** Generators to choose from, where that is an option. */
  readonly generators?: readonly GeneratorKind[];
}

/** The members of a System about its hypernetwork. */
export interface HypernetworkPart {
  /** The family of the models with hypernetworks. */
  readonly family: 't5';
  readonly hypernetwork: HypernetworkPlan | undefined;
  hint(base: ModelConfig, options: HintOptions): HintConfig | undefined;
}

/** The part of a system whose T5 has a hypernetwork (or learned modules) beside it. */
export function withHypernetwork(system: string, plan: HypernetworkPlan): HypernetworkPart {
  return {
    family: 't5',
    hypernetwork: plan,
    hint: (base, options) => chooseHypernetwork(system, plan, base, options),
  };
}

/** The part of a system that is plain T5: a hypernetwork of the starting model is left out, options are a mistake. */
export function plainT5(system: string): HypernetworkPart {
  return {
    family: 't5',
    hypernetwork: undefined,
    hint: (_base, options) => {
      const names = Object.keys(given(options));
      if (names.length === 0) return undefined;
      throw new HintError(
        'INVALID_CONFIG',
        `The system ${system} has no hypernetwork, but the model's hint options set ${names.join(', ')}; remove them or choose another system ("hint systems" lists them).`,
      );
    },
  };
}

// These settings change the forward pass and no tensor, so that a system may set them differently from the model it starts from.
const BEHAVIOUR: ReadonlySet<keyof HintConfig> = new Set(['instructionFusion', 'instructionPaddingMask']);

/**
 * The hypernetwork of a system: its defaults, over them the sizes that the starting checkpoint has, over those the
 * run's options.
 *
 * @throws HintError INVALID_CONFIG for an option that the system fixes (lists those it has), a starting checkpoint of
 *   another kind of hypernetwork, options that exclude each other, or ones that leave nothing to generate
 */
function chooseHypernetwork(
  system: string,
  { defaults, options: open, generators = [defaults.generator] }: HypernetworkPlan,
  base: ModelConfig,
  options: HintOptions,
): HintConfig {
  const chosen = given(options);
  for (const [key, value] of Object.entries(chosen) as [keyof HintConfig, unknown][]) {
    if (open.includes(key) || same(value, defaults[key])) continue;
    throw new HintError(
      'INVALID_CONFIG',
      `The system ${system} has ${key} ${show(defaults[key])}, the model's hint options set ${show(value)}; it can be given ${open.join(', ')}. For another hypernetwork choose another system ("hint systems" lists them).`,
    );
  }
  const stored = base.hint && keepable(system, defaults, open, base.hint);
  const merged: HintConfig = { ...defaults, ...stored, ...chosen };
  if (!generators.includes(merged.generator)) {
    throw new HintError(
      'INVALID_CONFIG',
      `The system ${system} has the generator ${generators.join(' or ')}, not ${merged.generator}; set one of those, start from a model of this system, or choose another system.`,
    );
  }
  // Without per-layer generators, the table has rows for one slot after another.
  const isPerSlot = !merged.perLayerGenerators && options.embeddingSlots === undefined;
  const hint = isPerSlot ? { ...merged, embeddingSlots: 0 } : merged;
  if (generatesAnything(defaults) && !generatesAnything(hint)) {
    throw new HintError(
      'INVALID_CONFIG',
      `The system ${system} would generate nothing: adapterSize, prefixLength and loraRanks are all 0. Set one of ${open.filter((key) => SIZES.has(key)).join(', ')}, or choose hint-no-peft.`,
    );
  }
  const source = `The hypernetwork configuration of ${system}`;
  return parseModelConfig(serializeModelConfig({ ...base, hint }), source).hint as HintConfig;
}

const SIZES: ReadonlySet<string> = new Set(['adapterSize', 'prefixLength', 'loraRanks']);

function generatesAnything({ adapterSize, prefixLength, loraRanks }: HintConfig): boolean {
  return adapterSize > 0 || prefixLength > 0 || Object.values(loraRanks).some((rank) => rank > 0);
}

/** The settings that a run takes over from the hypernetwork of its starting model. */
function keepable(
  system: string,
  defaults: HintConfig,
  open: readonly (keyof HintConfig)[],
  stored: HintConfig,
): Partial<HintConfig> {
  for (const key of Object.keys(defaults) as (keyof HintConfig)[]) {
    if (open.includes(key) || BEHAVIOUR.has(key) || same(stored[key], defaults[key])) continue;
    throw new HintError(
      'INVALID_CONFIG',
      `The model to start from has a hypernetwork with ${key} ${show(stored[key])}, the system ${system} has ${show(defaults[key])}; start from a plain T5 or from a model of this system, or choose the system it was trained as.`,
    );
  }
  return Object.fromEntries(open.map((key) => [key, stored[key]]));
}

function given(options: HintOptions): Partial<HintConfig> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function same(a: unknown, b: unknown): boolean {
  return show(a) === show(b);
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
