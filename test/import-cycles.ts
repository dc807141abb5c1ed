/**
 * Finds a cycle in a directed graph.
 *
 * @returns the names along the first cycle that is found, its first one again at the end; empty when there is none
 */
export function cycleIn(graph: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (name: string): string[] => {
    if (done.has(name)) return [];
    const known = path.indexOf(name);
    if (known >= 0) return [...path.slice(known), name];
    path.push(name);
    for (const next of graph.get(name) ?? []) {
      const cycle = visit(next);
      if (cycle.length > 0) return cycle;
    }
    path.pop();
    done.add(name);
    return [];
  };
  for (const name of graph.keys()) {
    const cycle = visit(name);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
