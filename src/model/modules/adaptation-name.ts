/** The modules a hypernetwork can generate, in the order their components lie inside a slot. */
export type AdaptationName =
  | 'adapter_down'
  | 'adapter_up'
  | 'adapter_bias_down'
  | 'adapter_bias_up'
  | 'prefix_key'
  | 'prefix_value'
  | `lora_${'q' | 'k' | 'v' | 'o'}_${'a' | 'b'}`;
