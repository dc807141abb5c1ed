/** Samples of Prometheus' text format: the sum over all labels by name, and of tokens also by kind. */
export function readMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)/.exec(line) ?? [];
    if (name === undefined) continue;
    const amount = Number(value);
    if (!Number.isFinite(amount)) continue;
    samples.set(name, (samples.get(name) ?? 0) + amount);
    const [, kind] = /kind="(\w+)"/.exec(labels) ?? [];
    if (kind !== undefined) samples.set(`${name}.${kind}`, (samples.get(`${name}.${kind}`) ?? 0) + amount);
  }
  return samples;
}
