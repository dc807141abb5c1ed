/** What Hugging Face calls a parameter, and whether it holds it transposed. */
export interface HubName {
  readonly name: string;
  readonly isTransposed: boolean;
}

const PROJECTIONS: Readonly<Record<string, string>> = { query: 'q', key: 'k', value: 'v', out: 'o' };

/** Stacks of layers by their path, with their Hugging Face name and whether their layers have cross-attention. */
const STACKS: readonly (readonly [path: string, name: string, hasCross: boolean])[] = [
  ['encoder', 'encoder', false],
  ['decoder', 'decoder', true],
  ['hyper/hyper_encoder', 'hypernetwork.encoder', false],
  ['hyper/hyper_decoder', 'hypernetwork.decoder', true],
];

const plain = (name: string): HubName => ({ name: `${name}.weight`, isTransposed: false });
const transposed = (name: string): HubName => ({ name: `${name}.weight`, isTransposed: true });

/** Within a layer of a stack. */
function inLayer(path: string, block: string, hasCross: boolean): HubName | undefined {
  const feedForward = `${block}.layer.${hasCross ? 2 : 1}`;
  const norms: Record<string, string> = {
    'pre_attention_layer_norm/scale': `${block}.layer.0.layer_norm`,
    'pre_self_attention_layer_norm/scale': `${block}.layer.0.layer_norm`,
    'pre_cross_attention_layer_norm/scale': `${block}.layer.1.layer_norm`,
    'pre_mlp_layer_norm/scale': `${feedForward}.layer_norm`,
  };
  const norm = Object.hasOwn(norms, path) ? norms[path] : undefined;
  if (norm !== undefined) return plain(norm);
  if (path === 'relpos_bias/rel_embedding')
    return transposed(`${block}.layer.0.SelfAttention.relative_attention_bias`);
  const [, attention, projection] =
    /^(attention|self_attention|encoder_decoder_attention)\/(query|key|value|out)\/kernel$/.exec(path) ?? [];
  if (attention !== undefined && projection !== undefined) {
    const place = attention === 'encoder_decoder_attention' ? '1.EncDecAttention' : '0.SelfAttention';
    return transposed(`${block}.layer.${place}.${PROJECTIONS[projection]}`);
  }
  const [, matrix] = /^mlp\/(wi|wi_0|wi_1|wo)\/kernel$/.exec(path) ?? [];
  return matrix === undefined ? undefined : transposed(`${feedForward}.DenseReluDense.${matrix}`);
}

function inStack(path: string, name: string, hasCross: boolean): HubName | undefined {
  if (/^(encoder|decoder)_norm\/scale$/.test(path)) return plain(`${name}.final_layer_norm`);
  if (path === 'relpos_bias/rel_embedding')
    return transposed(`${name}.block.0.layer.0.SelfAttention.relative_attention_bias`);
  const [, layer, rest] = /^layers_(\d{1,6})\/(.+)$/.exec(path) ?? [];
  return layer === undefined || rest === undefined
    ? undefined
    : inLayer(rest, `${name}.block.${Number(layer)}`, hasCross);
}

/** `lora_qa` of the original is `lora_q_a` here. */
function generatorName(name: string): string {
  return name.replace(/^lora_([qkvo])([ab])$/, 'lora_$1_$2');
}

function inHypernetwork(path: string): HubName | undefined {
  if (path === 'component_embedding' || path === 'component_embedding/embedding')
    return plain('hypernetwork.embedding');
  const [, projection] = /^hyperattn\/(query|key|value|out)\/kernel$/.exec(path) ?? [];
  if (projection !== undefined) return transposed(`hypernetwork.attention.${PROJECTIONS[projection]}`);
  const [, generator, matrix] = /^([a-z]+_[a-z_]+)\/(wi|wo)\/kernel$/.exec(path) ?? [];
  if (generator !== undefined) return transposed(`hypernetwork.${generatorName(generator)}.${matrix}`);
  const [, normed] = /^([a-z]+_[a-z_]+)_norm\/scale$/.exec(path) ?? [];
  return normed === undefined ? undefined : plain(`hypernetwork.${generatorName(normed)}.layer_norm`);
}

/**
 * The Hugging Face name of a parameter of T5X, by its path below `target` (method §1.6, method §10.2). What has none keeps
 * its path, with dots. Undefined: it is in the file and no part of the function.
 */
export function hubName(path: readonly string[]): HubName | undefined {
  const joined = path.join('/');
  // The decoder of a hypernetwork has no self-attention that would read it.
  if (joined === 'hyper/hyper_decoder/relpos_bias/rel_embedding') return undefined;
  if (joined === 'token_embedder/embedding') return plain('shared');
  if (joined === 'decoder/logits_dense/kernel') return transposed('lm_head');
  const other: HubName = { name: path.join('.'), isTransposed: false };
  for (const [prefix, name, hasCross] of STACKS)
    if (joined.startsWith(`${prefix}/`))
      return inStack(joined.slice(prefix.length + 1), name, hasCross) ?? other;
  if (joined.startsWith('hyper/')) return inHypernetwork(joined.slice('hyper/'.length)) ?? other;
  return other;
}
