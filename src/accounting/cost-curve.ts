import { HintError } from '../util/errors.js';
import { parameterCount } from '../model/parameters/parameter-shapes.js';
import { modelOfSize } from '../model/config/sizes.js';
import { findSystem } from '../systems/index.js';
import { inferenceFlops } from './flops.js';
import { nominalParameters, paperFlops, PAPER_LENGTHS, paperShape } from './paper-tables.js';

/** The quantity on the x axis of a curve. */
export type CurveAxis = 'instruction' | 'shots' | 'examples';

/** Costs at one point of the axis, relative to Tk-Instruct of T5-base with the median definition and 100 examples. */
export interface CurvePoint {
  readonly x: number;
  /** By the paper's formulas. */
  readonly tkInstruct: number;
  readonly hint: number;
  /** By counting the multiply-adds of the op table. */
  readonly tkInstructCounted: number;
  readonly hintCounted: number;
}

/** Figure 3, right: what a longer instruction costs. */
export interface CostCurve {
  readonly over: CurveAxis;
  readonly size: string;
  readonly points: readonly CurvePoint[];
  /** Slope of HINT's line as a share of Tk-Instruct's, by formula and counted; absent over examples. */
  readonly slopeRatio?: { readonly formula: number; readonly counted: number };
}

const AXES: Readonly<Record<CurveAxis, readonly number[]>> = {
  instruction: [16, 250, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000],
  shots: [0, 1, 2, 3, 4, 5, 6, 7, 8],
  examples: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
};
const { sni, examples: EXAMPLES } = PAPER_LENGTHS;
const DEFINITION = sni.def.instruction;
/** Tokens that Tk-Instruct reads beside definition and input, by the same medians: its markers. */
const MARKERS = sni.def.full - DEFINITION - sni.instance;
/** Tokens that one positive example adds on SNI, from the medians of Table 7. */
const SHOT = (sni.twoPositive.instruction - DEFINITION) / 2;

/**
 * Relative FLOPs of HINT and of Tk-Instruct at SNI's median lengths along instruction tokens, shots, or examples per
 * task. Over examples, costs are per example, with its share of the task's cost.
 *
 * @throws HintError INVALID_ARGUMENT for an axis or size that there is not
 */
export function costCurve(over: string, size: string): CostCurve {
  if (!Object.hasOwn(AXES, over)) {
    throw new HintError(
      'INVALID_ARGUMENT',
      `There is no curve over ${JSON.stringify(over)}; choose one of ${Object.keys(AXES).join(', ')}.`,
    );
  }
  const axis = over as CurveAxis;
  const unit = {
    formula: costs('base', DEFINITION, EXAMPLES),
    counted: counts('base', DEFINITION, EXAMPLES),
  };
  const points = AXES[axis].map((x): CurvePoint => {
    const instruction = axis === 'instruction' ? x : axis === 'shots' ? DEFINITION + SHOT * x : DEFINITION;
    const examples = axis === 'examples' ? x : EXAMPLES;
    const formula = costs(size, instruction, examples);
    const counted = counts(size, instruction, examples);
    const share = EXAMPLES / examples;
    return {
      x,
      tkInstruct: (share * formula.tkInstruct) / unit.formula.tkInstruct,
      hint: (share * formula.hint) / unit.formula.tkInstruct,
      tkInstructCounted: (share * counted.tkInstruct) / unit.counted.tkInstruct,
      hintCounted: (share * counted.hint) / unit.counted.tkInstruct,
    };
  });
  if (axis === 'examples') return { over: axis, size, points };
  const first = points[0] as CurvePoint;
  const last = points.at(-1) as CurvePoint;
  return {
    over: axis,
    size,
    points,
    slopeRatio: {
      formula: (last.hint - first.hint) / (last.tkInstruct - first.tkInstruct),
      counted: (last.hintCounted - first.hintCounted) / (last.tkInstructCounted - first.tkInstructCounted),
    },
  };
}

interface Costs {
  readonly tkInstruct: number;
  readonly hint: number;
}

function costs(size: string, instruction: number, examples: number): Costs {
  const config = modelOfSize(size);
  const model = {
    parameters: nominalParameters(size) ?? parameterCount(config),
    shape: paperShape(config),
  };
  const run = {
    instruction,
    full: instruction + MARKERS + sni.instance,
    input: sni.instance,
    output: sni.output,
    examples,
  };
  return { tkInstruct: paperFlops('tk-instruct', model, run), hint: paperFlops('hint', model, run) };
}

function counts(size: string, instruction: number, examples: number): Costs {
  const config = modelOfSize(size);
  const hint = findSystem('hint').hint(config, {});
  const lengths = { instruction, input: sni.instance, output: sni.output, examples };
  const prompt = { ...lengths, instruction: instruction + MARKERS };
  return {
    tkInstruct: inferenceFlops(config, { ...prompt, instructionInInput: true }).flops,
    hint: inferenceFlops({ ...config, ...(hint && { hint }) }, { ...lengths, instructionInInput: false })
      .flops,
  };
}
