/** Both sides of a matrix must reach this for its second moments to be kept factored (method §5.2). */
export const MIN_FACTORED_SIDE = 128;

/** Whether Adafactor keeps row and column moments for a parameter instead of one per element. */
export function isFactored(shape: readonly number[]): boolean {
  return shape.length === 2 && Math.min(...shape) >= MIN_FACTORED_SIDE;
}

/** What an optimizer's op keeps about a parameter from update to update: shapes by moment. */
export function momentShapes(
  optimizer: 'adafactor' | 'adamw',
  shape: readonly number[],
): Readonly<Record<string, readonly number[]>> {
  if (optimizer === 'adamw') return { first: shape, second: shape };
  const [rows = 0, columns = 0] = shape;
  return isFactored(shape) ? { row: [rows], column: [columns] } : { full: shape };
}
