/** Functions of feed-forward blocks, as ops name them; `gelu` is the tanh approximation, `gelu_erf` the exact function. */
export const FEED_FORWARD_ACTIVATIONS = ['relu', 'gelu', 'gelu_erf', 'silu', 'tanh'] as const;
export type FeedForwardActivation = (typeof FEED_FORWARD_ACTIVATIONS)[number];

/** What Hugging Face's names of functions mean. */
export const ACTIVATION_OF_NAME: Readonly<Record<string, FeedForwardActivation>> = {
  relu: 'relu',
  gelu: 'gelu_erf',
  gelu_python: 'gelu_erf',
  gelu_new: 'gelu',
  gelu_fast: 'gelu',
  gelu_pytorch_tanh: 'gelu',
  gelu_python_tanh: 'gelu',
  gelu_accurate: 'gelu',
  silu: 'silu',
  swish: 'silu',
  tanh: 'tanh',
};

/** The name that is written. */
export const NAME_OF_ACTIVATION: Readonly<Record<FeedForwardActivation, string>> = {
  relu: 'relu',
  gelu: 'gelu_new',
  gelu_erf: 'gelu',
  silu: 'silu',
  tanh: 'tanh',
};
