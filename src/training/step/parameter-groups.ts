import { HintError } from '../../util/errors.js';
import type { ParameterGroup } from '../../systems/system.js';
import type { Tensor } from '../../tensor/tensor.js';

/** A group of a system with its parameters and the run's numbers. */
export interface OptimizerGroup {
  readonly name: string;
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** Global step at which the decay schedule counts from 1. */
  readonly stepOffset: number;
  /** Whether a step is relative to the parameter's own size (Adafactor). */
  readonly multiplyByParameterScale: boolean;
  /** Times the learning rate; default 1. */
  readonly learningRateScale?: number;
  /** What its parameters are kept in (method §5.6); default f32. */
  readonly paramDtype?: ParamDType;
  /** How updates are rounded to bf16, where that is what they are kept in; default nearest. */
  readonly paramRounding?: ParamRounding;
}

/** Precision of parameters between updates. */
export type ParamDType = 'f32' | 'bf16';

/** To the nearest, as the original; or up or down by chance, so that small updates are kept in the mean. */
export type ParamRounding = 'nearest' | 'stochastic';

/** What is different in one group. */
export interface GroupChanges {
  readonly stepOffset?: number | undefined;
  readonly multiplyByParameterScale?: boolean | undefined;
  readonly learningRateScale?: number | undefined;
  readonly paramDtype?: ParamDType | undefined;
  readonly paramRounding?: ParamRounding | undefined;
  /** Its parameters stay out of training, as those that no group takes. */
  readonly frozen?: boolean | undefined;
}

/** What a run says about groups. */
export interface GroupSettings {
  /** Global step of the run's first update: steps the starting checkpoint was trained for. */
  readonly firstStep: number;
  readonly multiplyByParameterScale: boolean;
  /** Per group name, what is different there. */
  readonly groups?: Readonly<Record<string, GroupChanges | undefined>>;
  /** Of groups that say nothing else; default f32. */
  readonly paramDtype?: ParamDType;
  /** Of groups that say nothing else; default nearest. */
  readonly paramRounding?: ParamRounding;
}

/**
 * Deals a model's parameters out to the groups of a system; what no group takes stays out, which freezes it.
 * @throws HintError INVALID_CONFIG for a step offset behind the first step, settings of a group that does not exist,
 *   stochastic rounding of f32 parameters, or a system that trains nothing of this model
 */
export function assignGroups(
  parameters: Iterable<[string, Tensor]>,
  groups: readonly ParameterGroup[],
  settings: GroupSettings,
): OptimizerGroup[] {
  const members = new Map(groups.map((group) => [group.name, new Map<string, Tensor>()]));
  for (const name of Object.keys(settings.groups ?? {})) {
    if (!members.has(name)) {
      throw new HintError(
        'INVALID_CONFIG',
        `The optimizer settings name a group ${name}; this system has ${[...members.keys()].join(', ')}.`,
      );
    }
  }
  for (const [name, tensor] of parameters) {
    const owner = groups.find((group) => group.takes(name));
    if (owner) members.get(owner.name)?.set(name, tensor);
  }
  const assigned = groups.map((group): OptimizerGroup => {
    const own = settings.groups?.[group.name];
    const declared = group.stepOffset === 'first-step' ? settings.firstStep : group.stepOffset;
    const stepOffset = own?.stepOffset ?? declared;
    if (stepOffset > settings.firstStep) {
      throw new HintError(
        'INVALID_CONFIG',
        `The step offset of group ${group.name} is ${stepOffset}, behind the first step ${settings.firstStep}; give an offset of at most the first step.`,
      );
    }
    return {
      name: group.name,
      parameters: members.get(group.name) ?? new Map(),
      stepOffset,
      multiplyByParameterScale: own?.multiplyByParameterScale ?? settings.multiplyByParameterScale,
      learningRateScale: own?.learningRateScale ?? 1,
      paramDtype: own?.paramDtype ?? settings.paramDtype ?? 'f32',
      paramRounding: own?.paramRounding ?? settings.paramRounding ?? 'nearest',
    };
  });
  const trained = assigned.filter(
    ({ name, parameters }) => parameters.size > 0 && !settings.groups?.[name]?.frozen,
  );
  if (trained.length === 0)
    throw new HintError(
      'INVALID_CONFIG',
      `The run trains no parameter of this model (groups: ${assigned.map(({ name, parameters }) => `${name}, ${parameters.size} parameters${settings.groups?.[name]?.frozen ? ', frozen' : ''}`).join('; ')}); choose another system or freeze less.`,
    );
  checkRounding(trained, settings);
  return trained;
}

/** Refuses stochastic rounding of f32 parameters: it would do nothing. */
function checkRounding(groups: readonly OptimizerGroup[], settings: GroupSettings): void {
  const asked = groups.filter(({ name }) => settings.groups?.[name]?.paramRounding === 'stochastic');
  const inVain = asked.find(({ paramDtype }) => paramDtype !== 'bf16');
  const all = settings.paramRounding === 'stochastic' && groups.every((group) => group.paramDtype !== 'bf16');
  if (!inVain && !all) return;
  throw new HintError(
    'INVALID_CONFIG',
    `paramRounding is stochastic, but the parameters${inVain ? ` of group ${inVain.name}` : ''} are kept in f32, which is not rounded; set paramDtype to bf16 there, or leave paramRounding out.`,
  );
}
