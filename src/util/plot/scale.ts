import { HintError } from '../errors.js';

/** Maps values of an axis to pixels, and lists its ticks. */
export interface Scale {
  readonly ticks: readonly number[];
  /** Smaller divisions between ticks, without labels. */
  readonly minorTicks: readonly number[];
  pixel(value: number): number;
  label(tick: number): string;
}

const STEPS = [1, 2, 2.5, 5, 10];
const WANTED_TICKS = 6;

/**
 * A linear axis over round numbers that covers `values`, from `from` to `to` in pixels.
 *
 * @param includeZero start at 0 when no value is negative, as bars and costs should
 * @throws HintError INVALID_ARGUMENT for no values or values that are not finite
 */
export function linearScale(
  values: readonly number[],
  [from, to]: readonly [number, number],
  includeZero: boolean,
): Scale {
  checkValues(values);
  let low = least(values);
  let high = most(values);
  if (includeZero) {
    low = Math.min(low, 0);
    high = Math.max(high, 0);
  }
  if (low === high) [low, high] = low === 0 ? [0, 1] : [Math.min(0, low), Math.max(0, high)];
  const rounded = roundStep((high - low) / (WANTED_TICKS - 1));
  // There is no step 2.5 of a run.
  const step = values.every(Number.isInteger) ? Math.max(1, Math.floor(rounded)) : rounded;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  const [begin, end] = [first * step, last * step];
  const decimals = decimalsOf(step);
  return {
    ticks,
    minorTicks: [],
    pixel: (value) => from + ((value - begin) / (end - begin)) * (to - from),
    label: (tick) => grouped(tick, decimals),
  };
}

/**
 * A logarithmic axis. Less than two decades are divided at 1, 2 and 5 times powers of ten, more at powers of ten alone.
 *
 * @throws HintError INVALID_ARGUMENT for no values, or values that are not finite and above 0
 */
export function logScale(values: readonly number[], [from, to]: readonly [number, number]): Scale {
  checkValues(values);
  const low = least(values);
  const high = most(values);
  if (low <= 0) {
    throw new HintError(
      'INVALID_ARGUMENT',
      `A logarithmic axis cannot show ${low}; leave it out or use a linear axis.`,
    );
  }
  const decades = Math.log10(high / low);
  const divisions = decades < 3 ? [1, 2, 5] : [1];
  const positions = logTicks(low, high, divisions);
  const begin = positions[0] as number;
  const end = positions.at(-1) as number;
  const inside = (tick: number): boolean => tick > begin && tick < end;
  const all = logTicks(begin, end, [1, 2, 3, 4, 5, 6, 7, 8, 9]).filter(inside);
  const every = Math.ceil(positions.length / (WANTED_TICKS + 3));
  return {
    ticks: positions.filter((_, i) => i % every === 0),
    minorTicks: all.filter((tick) => !positions.includes(tick)),
    pixel: (value) => from + (Math.log(value / begin) / Math.log(end / begin)) * (to - from),
    label: (tick) => grouped(tick, Math.max(0, -Math.floor(Math.log10(tick) + 1e-9))),
  };
}

/** The ticks from the last at or below `low` to the first at or above `high`; at least two. */
function logTicks(low: number, high: number, divisions: readonly number[]): number[] {
  const first = Math.floor(Math.log10(low)) - 1;
  const last = Math.ceil(Math.log10(high)) + 1;
  const candidates: number[] = [];
  for (let power = first; power <= last; power++) {
    for (const division of divisions) candidates.push(Number(`${division}e${power}`));
  }
  const begin = candidates.findLastIndex((tick) => tick <= low * (1 + 1e-9));
  const end = candidates.findIndex((tick, i) => i > begin && tick >= high * (1 - 1e-9));
  return candidates.slice(begin, end + 1);
}

function roundStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = STEPS.find((step) => step * power >= rough * (1 - 1e-9)) ?? 10;
  return factor * power;
}

function decimalsOf(step: number): number {
  for (let decimals = 0; decimals < 12; decimals++) {
    const scaled = step * 10 ** decimals;
    if (Math.abs(scaled - Math.round(scaled)) < 1e-6) return decimals;
  }
  return 12;
}

function grouped(value: number, decimals: number): string {
  return (Object.is(value, -0) ? 0 : value).toLocaleString('en', {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
}

function checkValues(values: readonly number[]): void {
  if (values.length === 0) {
    throw new HintError('INVALID_ARGUMENT', 'A chart needs at least one point; give some.');
  }
  const wrong = values.find((value) => !Number.isFinite(value));
  if (wrong !== undefined) {
    throw new HintError('INVALID_ARGUMENT', `A chart cannot show the value ${wrong}; leave such points out.`);
  }
}

function least(values: readonly number[]): number {
  return values.reduce((smallest, value) => Math.min(smallest, value), Infinity);
}

function most(values: readonly number[]): number {
  return values.reduce((largest, value) => Math.max(largest, value), -Infinity);
}
