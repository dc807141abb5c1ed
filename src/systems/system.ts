import type { PromptSetting } from '../data/natural-instructions/prompts.js';
import type { P3Setting } from '../data/p3/forms.js';
import { HintError } from '../util/errors.js';
import type { HintConfig, ModelConfig } from '../model/config/config.js';
import type { HintOptions, HypernetworkPlan } from './hypernetwork-plan.js';

/** Parameters that share their optimiser settings (method §5.3). */
export interface ParameterGroup {
  /** Names the group in configuration and errors. */
  readonly name: string;
  /** Whether a parameter belongs to it. A parameter goes to the first group that takes it. */
  readonly takes: (parameter: string) => boolean;
  /**
   * The global step at which the group's decay schedule counts from 1: a number, or `first-step` for parameters that
   * are new in this run, whose schedule starts with it (method §5.4).
   */
  readonly stepOffset: number | 'first-step';
}

/** Settings of P3 that a run may choose. */
export interface P3Request {
  /**
   * What the model reads as input when a hypernetwork reads the prompt: the whole prompt (default) or the instance's
   * fields.
   */
  form?: 'joint' | 'split' | undefined;
  /** Worked examples before the instruction, or before the prompt when there is no instruction (default 0). */
  shots?: number | undefined;
}

/**
 * A system of the paper as a configuration of the one model and the one trainer (law 6): what is fed, what is
 * generated, what is trained.
 */
export interface System {
  /** The word that configurations and commands name it by. */
  readonly name: string;
  /** One sentence for help texts. */
  readonly summary: string;
  /** The table or section of the paper with its numbers. */
  readonly paper: string;
  /** How a task is shown to the model, in training and in evaluation. `positives`: examples in the instruction. */
  setting(positives: number): PromptSetting;
  /** The hypernetwork beside T5, and the fields of it that a run may set; undefined: plain T5. */
  readonly hypernetwork: HypernetworkPlan | undefined;
  /**
   * The same for the prompts of P3. A system reads the instruction apart from the fields, the whole prompt, or the fields alone.
   *
   * @throws HintError INVALID_CONFIG for a request that the system cannot follow
   */
  p3Setting(request: P3Request): P3Setting;
  /**
   * The hypernetwork beside `base`; undefined: plain T5, and a hypernetwork that `base` has is left out.
   * @throws HintError INVALID_CONFIG when the options do not fit the system or each other
   */
  hint(base: ModelConfig, options: HintOptions): HintConfig | undefined;
  /** The family of the models that it trains, by its name. */
  readonly family: string;
  /** Training settings of this system that replace the defaults, which are the paper's for T5. */
  readonly training?: Readonly<Record<string, unknown>>;
  /**
   * Optimiser groups. The first group that takes a parameter gets it; a parameter that no group takes is not trained.
   */
  readonly groups: readonly ParameterGroup[];
}

/** All parameters of a hypernetwork, and learned modules, which the original treats alike (method §3.3). */
export const HYPERNETWORK_GROUP: ParameterGroup = {
  name: 'hyper',
  takes: (parameter) => /^(hypernetwork|peft)\./.test(parameter),
  stepOffset: 'first-step',
};

/** Everything else: T5's own weights, whose schedule goes on from their pretraining. */
export const T5_GROUP: ParameterGroup = { name: 't5', takes: () => true, stepOffset: 0 };

/** Everything that a model without a hypernetwork has, of families other than T5. */
export const ALL_GROUP: ParameterGroup = { name: 'all', takes: () => true, stepOffset: 0 };

/** {@link System.p3Setting} of systems whose hypernetwork reads the prompt's text: HINT joint and split. */
export function readsPromptApart({ form = 'joint', shots = 0 }: P3Request): P3Setting {
  return { form, shots };
}

/** {@link System.p3Setting} of systems that read the whole prompt as their input, as T0 does. */
export function readsWholePrompt(system: string): (request: P3Request) => P3Setting {
  return ({ form, shots = 0 }) => {
    refuseForm(system, form);
    return { form: 't0', shots };
  };
}

/** {@link System.p3Setting} of systems that never see the prompt: No Prompt. */
export function readsFieldsOnly(system: string): (request: P3Request) => P3Setting {
  return ({ form, shots = 0 }) => {
    refuseForm(system, form);
    if (shots === 0) return { form: 'no-prompt', shots };
    throw new HintError(
      'INVALID_CONFIG',
      `The system ${system} sees no worked examples, but shots is ${shots}; give 0 or choose another system.`,
    );
  };
}

function refuseForm(system: string, form: P3Request['form']): void {
  if (form === undefined) return;
  throw new HintError(
    'INVALID_CONFIG',
    `The form ${form} is one of systems whose hypernetwork reads the prompt; the system ${system} has one form only, so leave it out.`,
  );
}
