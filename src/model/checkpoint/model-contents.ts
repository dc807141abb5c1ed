/** What a model directory holds, as far as its config.json and the names and shapes of its tensors tell. */
export interface ModelContents {
  /** The configuration as loading completes it, in the form of config.json. */
  readonly config: Record<string, unknown>;
  /** Values in all parameters (`total`), and in parts of the model. */
  readonly parameters: Readonly<Record<string, number>>;
  /** Places that a hypernetwork has modules for. */
  readonly slots?: number;
  /** Of all tensors that are stored. */
  readonly dtypes: readonly string[];
  /** How many there are in all files together. */
  readonly tensors: number;
  /** What loading would ask for and not find, or find with another shape. */
  readonly missingTensors: readonly string[];
}
