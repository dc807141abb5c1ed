import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import type { Sliced } from '../../tensor/slices.js';
import { Tape } from '../../tensor/tape.js';
import { Optimizer } from '../../training/step/optimizer.js';
import type { ProfileRecorder } from './recorder.js';

/** The phase of calls that belong to no other phase. */
export const REST = 'rest';
export const COMPILING = 'compile';
export const FORWARD = 'forward';

/**
 * Names the phases of inference: the encoder, keys and values of the cross-attention, and, by the recorder itself, decode steps.
 * What runs while a task is compiled stays of that phase.
 *
 * @returns what takes the names away
 */
export function nameInferencePhases(model: EncoderDecoderModel, recorder: ProfileRecorder): () => void {
  const { t5 } = model;
  const encodeInputs = model.encodeInputs.bind(model);
  const crossKeys = t5.crossKeys.bind(t5);
  // Own properties hide the methods of the classes.
  model.encodeInputs = (...of) => inPhase(recorder, 'encoder', REST, encodeInputs(...of));
  t5.crossKeys = (...of) =>
    recorder.phase === REST ? recorder.within('cross keys', () => crossKeys(...of)) : crossKeys(...of);
  return () => {
    delete (model as Partial<EncoderDecoderModel>).encodeInputs;
    delete (t5 as Partial<typeof t5>).crossKeys;
  };
}

/**
 * Names the phases of training: the backward pass, with what it runs again, and the update; the rest is forward.
 *
 * @returns what takes the names away
 */
export function nameTrainingPhases(recorder: ProfileRecorder): () => void {
  const { backwardSliced } = Tape.prototype;
  const { apply } = Optimizer.prototype;
  Tape.prototype.backwardSliced = function (...of) {
    return inPhase(recorder, 'backward', FORWARD, backwardSliced.apply(this, of));
  };
  Optimizer.prototype.apply = async function (...of) {
    recorder.phase = 'update';
    try {
      await apply.apply(this, of);
    } finally {
      recorder.phase = FORWARD;
    }
  };
  return () =>
    Object.assign(Tape.prototype, { backwardSliced }) && Object.assign(Optimizer.prototype, { apply });
}

/** Sliced work as a phase, where it begins in `outer`. */
function* inPhase<T>(recorder: ProfileRecorder, phase: string, outer: string, work: Sliced<T>): Sliced<T> {
  if (recorder.phase !== outer) return yield* work;
  recorder.phase = phase;
  try {
    return yield* work;
  } finally {
    recorder.phase = outer;
  }
}
