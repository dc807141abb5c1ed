import { stateMemory, type ParameterMemory, type StateMemory } from '../../accounting/state-memory.js';
import type { TrainableModel } from '../../model/trainable/trainable.js';
import type { Optimizer } from '../step/optimizer.js';

/** {@link stateMemory} of a model as it stands. */
export function stateMemoryOf(model: TrainableModel, optimizer: Optimizer): StateMemory {
  const trained = new Set(optimizer.groups.flatMap(({ parameters }) => [...parameters.keys()]));
  const parameters = model.parameters.storedEntries().map(([name, { shape, dtype }]): ParameterMemory => ({
    name,
    shape,
    dtype: dtype === 'bf16' ? 'bf16' : 'f32',
    isTrained: trained.has(name),
  }));
  const { settings, ranks } = optimizer;
  return stateMemory(parameters, model.parameters.computeDtype, settings.name, ranks?.size);
}
