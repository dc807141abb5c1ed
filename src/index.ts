/**
 * hint-engine: compile a task instruction into a model once, then run any number of inputs through it.
 *
 * @example
 * ```ts
 * await using engine = await Engine.open('runs/hint/model');
 * const task = await engine.compile({ definition: 'Name the colour in the list.' });
 * const [answer] = await task.generate(['Words: cat green salad.']);
 * ```
 *
 * @packageDocumentation
 */
export { HintError, type HintErrorCode } from './util/errors.js';
export { limits, setLimits, type Limits } from './util/limits.js';
export { Notices, type Notice } from './util/notices.js';
export { Engine, type EngineMemory } from './inference/engine.js';
export type { EngineOptions } from './inference/engine-arguments.js';
export type { Constraint } from './inference/constrain/constraint.js';
export type { CompileRequest } from './inference/compile/compile-request.js';
export {
  Task,
  type DecodingOptions,
  type TaskExample,
  type GeneratedText,
  type GenerationEvent,
  type TaskFlops,
  type TaskGenerateOptions,
  type TaskInputs,
  type TaskScoreOptions,
  type TaskOrigin,
  type TaskStreamOptions,
  type TaskTraining,
  type TaskTrainingProgress,
  type TaskTrainOptions,
} from './inference/task/task.js';
export type {
  EngineRequest,
  ServingOptions,
  ServingStatistics,
  SubmitRequest,
} from './inference/serving/requests.js';
export type { EngineTasks } from './inference/serving/engine-tasks.js';
export type {
  CachedTask,
  TaskCacheMetrics,
  TaskCacheOptions,
  TaskTier,
} from './inference/serving/task-cache.js';
export { registerFamily } from './inference/families/registry.js';
export type { CompiledTasks } from './inference/contract/compiled-tasks.js';
export type { Cache, DecodeNetwork, DecodeStep, StepInputs } from './inference/contract/decode-network.js';
export type {
  AnsweredExample,
  ChoiceBatch,
  EmbedOptions,
  Embedder,
  Family,
  JointDecoding,
  JointRows,
  PromptFormats,
  ReadingLimits,
  TaskStorage,
} from './inference/contract/family.js';
export type { EngineGenerateOptions } from './inference/serving/generate-mixed.js';
export {
  generateTokens,
  type DecodeStrategy,
  type TokenDecodingOptions,
  type GeneratedTokens,
  type GenerateTokensOptions,
  type GenerateTokensRequest,
} from './inference/decode/generate.js';
export {
  scoreChoices,
  type ChoiceScores,
  type ScoreChoicesOptions,
  type ScoreChoicesRequest,
} from './inference/decode/score-choices.js';
export {
  evaluateP3,
  type P3Evaluation,
  type P3EvaluateOptions,
  type P3Prediction,
  type P3Scores,
} from './evaluation/rank-classification.js';
export { evaluateModel, type EvaluateOptions, type Evaluation } from './evaluation/evaluate.js';
export {
  scoreFile,
  scorePredictions,
  type FileScoreReport,
  type ScoreReport,
  type Scores,
} from './evaluation/score.js';
export type { Prediction, References } from './evaluation/prediction-files.js';
export { rougeLF1 } from './evaluation/rouge.js';
export { isExactMatch } from './evaluation/exact-match.js';
export {
  inferenceFlops,
  type InferenceCost,
  type InferenceLengths,
  type MultiplyAdds,
} from './accounting/flops.js';
export { parseTrainingConfig, readTrainingConfig, type TrainingConfig } from './training/config/config.js';
export { Group, type GroupLimits } from './distributed/group.js';
export { launcherOf, type Launcher, type RankLaunch } from './distributed/launcher.js';
export type { RankPlace } from './distributed/watch.js';
export type { CommunicationInterval, CommunicationTimes, MpiImplementation } from './tensor/native.js';
export { trainFromConfig } from './training/run/run.js';
export type {
  BestModel,
  ProgressPhase,
  TrainingEvent,
  TrainingPhase,
  TrainingSummary,
  TrainOptions,
} from './training/run/events.js';
export type { ValidationReport, ValidationScores } from './training/validation/validator.js';
export type { ValidationMetric } from './training/config/validation-config.js';
export { TextSource, type TextSourceOptions } from './training/sources/text-source.js';
export { findTextFiles, type TextFile } from './data/text/files.js';
export { PoolSource, type ExampleSource, type SourceState } from './training/sources/example-source.js';
export { Trainer, type StepReport } from './training/step/trainer.js';
export type {
  StepsOptions,
  TrainerParts,
  TrainerSettings,
  TrainerState,
} from './training/step/trainer-arguments.js';
export {
  findSystem,
  type HintOptions,
  type HypernetworkPlan,
  type P3Request,
  type ParameterGroup,
  type System,
} from './systems/index.js';
export type { AnyModel, ModelFamily, StartRequest } from './model/family.js';
export { openModel } from './model/families/open-model.js';
export {
  loadModel,
  saveModel,
  type LoadModelOptions,
  type SaveModelOptions,
} from './model/checkpoint/checkpoint.js';
export type { ForwardOptions, StoredTensor } from './model/trainable/trainable.js';
export type { ActivationMemory } from './model/memory/activation-memory.js';
export { modelFingerprint } from './model/trainable/fingerprint.js';
export { buildModel } from './model/hint/build-model.js';
export type { EncoderDecoderModel } from './model/hint/encoder-decoder-model.js';
export { HintModel } from './model/hint/hint-model.js';
export { T5Model } from './model/hint/t5-model.js';
export { initialiseParameters } from './model/parameters/initialise.js';
export { ParameterStore } from './model/parameters/parameter-store.js';
export {
  parseModelConfig,
  readModelConfig,
  serializeModelConfig,
  type HintConfig,
  type LoraRanks,
  type ModelConfig,
} from './model/config/config.js';
export { parameterCount, parameterShapes } from './model/parameters/parameter-shapes.js';
export { openWeights } from './formats/checkpoint/open-weights.js';
export { openSafetensors, writeSafetensors, type SafetensorsFile } from './formats/safetensors/file.js';
export type { TensorToWrite } from './formats/safetensors/writer.js';
export type { WeightFile, WeightForm } from './formats/weights/weight-file.js';
export { convertCheckpoint, type Conversion, type ConvertOptions } from './model/conversion/convert.js';
export type { ComparedTensor } from './model/conversion/compare.js';
export { Tokenizer, type DecodeOptions, type EncodeOptions } from './formats/tokenizer/tokenizer.js';
export {
  loadSniDataset,
  streamSniDataset,
  type DatasetProgress,
  type SniDatasetOptions,
} from './data/natural-instructions/dataset.js';
export { P3Source, type P3SourceOptions } from './data/p3/source.js';
export type { PromptSetting } from './data/natural-instructions/prompts.js';
export { loadP3Evaluation, type P3EvaluationOptions, type P3EvaluationSet } from './data/p3/evaluation.js';
export type { P3Progress } from './data/p3/dataset.js';
export {
  renderPromptsource,
  type RenderOptions as PromptsourceOptions,
  type RenderSummary as PromptsourceSummary,
} from './data/p3/promptsource/write.js';
export type { P3Form, P3Setting } from './data/p3/forms.js';
export {
  buildBatch,
  type Choice,
  type Ragged,
  type RaggedBatch,
  type TokenizedExample,
} from './data/batch.js';

// Types that signatures above name.
export type { ModelContents } from './model/checkpoint/model-contents.js';
export type { ModelSize } from './model/config/sizes.js';
export type { T5Variant } from './model/config/variant.js';
export type { BatchShape } from './model/memory/activation-memory.js';
export type { TensorSummary } from './model/parameters/tensor-summary.js';
export type { EncodedInstructions } from './model/hint/hypernetwork.js';
export type { TaskTuning } from './inference/contract/task-tuning.js';
export type { LowRankChange, PeftAdapter } from './formats/peft/adapter.js';
export type { ExpectedTask, Refuse, StoredTask, StoredTaskTensor } from './inference/contract/family.js';
export type { ScoreFileOptions, ScoreOptions } from './evaluation/score.js';
export type { MemoryPlan } from './training/memory/memory-plan.js';
export type { Schedule } from './training/step/schedule.js';
export type { ScheduleKind } from './training/config/schedules.js';
export type { P3Template } from './data/p3/format.js';
export type { MixtureState } from './data/p3/mixture.js';
export type { UnusableTemplate } from './data/p3/promptsource/templates.js';
export type { SkipReason } from './data/p3/promptsource/write.js';
export type { SegmentSettings } from './data/text/segments.js';
export type { SafetensorsDType, TensorInfo } from './formats/weights/dtypes.js';
export type { ModeMemory } from './accounting/training-memory.js';
export type { StateMemory } from './accounting/state-memory.js';
export type { SplitSeeding, TextObjective } from './data/text/objective.js';
