import { HintError } from '../../util/errors.js';
import type { StateMemory } from '../../accounting/state-memory.js';
import { MARGIN, modeMemory, type ModeInput, type ModeMemory } from '../../accounting/training-memory.js';
import type { BackwardPlan } from '../../model/memory/backward-plan.js';
import { formatBytes } from '../../util/bytes.js';

/** Which backward plan a run uses, and why. */
export interface MemoryPlan {
  /** The plan that was chosen. */
  readonly mode: BackwardPlan;
  /** Bytes that may be taken. */
  readonly budget: number;
  /** Most tokens of a microbatch. */
  readonly tokenBudget: number;
  /** What does not depend on the plan. */
  readonly state: StateMemory;
  /** Every plan there is for the model, from the cheapest in time to the leanest. */
  readonly modes: readonly ModeMemory[];
  /** One sentence. */
  readonly reason: string;
}

/** What a plan is made from. */
export interface PlanInput extends ModeInput {
  readonly budget: number;
  readonly tokenBudget: number;
}

/**
 * Chooses the mode that runs least again among those that stay within the budget.
 *
 * @throws HintError OUT_OF_MEMORY when none does, naming bytes needed, the budget, and what to change
 */
export function planMemory(input: PlanInput): MemoryPlan {
  const { state, budget, tokenBudget } = input;
  const modes = modeMemory(input);
  const chosen = modes.find(({ required }) => required <= budget);
  if (!chosen) {
    const leanest = modes.reduce((least, one) => (one.required < least.required ? one : least));
    const room = budget - state.total;
    const fitting = Math.floor((tokenBudget * room) / (MARGIN * leanest.activations.peak));
    const next =
      room <= 0 || fitting < 1
        ? 'no tokenBudget helps; train fewer parameters or a smaller model, or give a larger memoryBudget'
        : `set a smaller tokenBudget (about ${fitting} instead of ${tokenBudget}) or a larger memoryBudget`;
    throw new HintError(
      'OUT_OF_MEMORY',
      `Training needs ${formatBytes(leanest.required)} with everything run again that can be (weights, gradients and moments ${formatBytes(state.total)}, a microbatch ${formatBytes(leanest.activations.peak)}); the budget is ${formatBytes(budget)}: ${next}.`,
    );
  }
  return { mode: chosen.mode, budget, tokenBudget, state, modes, reason: reasonOf(chosen, modes, input) };
}

const DOES: Readonly<Record<BackwardPlan, string>> = {
  none: 'Everything is kept for the backward pass',
  modules: 'Modules are generated again in the backward pass',
  layers: 'Layers run again in the backward pass',
  both: 'Layers run again in the backward pass, and modules are generated again in them',
};

function reasonOf(
  chosen: ModeMemory,
  modes: readonly ModeMemory[],
  { budget, tokenBudget }: PlanInput,
): string {
  const needs = `about ${formatBytes(chosen.required)} of ${formatBytes(budget)}`;
  const [first] = modes;
  const more =
    first && first !== chosen ? `; keeping everything would take ${formatBytes(first.required)}` : '';
  return `${DOES[chosen.mode]}: microbatches of at most ${tokenBudget} tokens take ${needs}${more}.`;
}
