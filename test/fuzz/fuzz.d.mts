/** An input that a parser did not end with a value or one of our errors, in bounded time and memory. */
export interface Finding {
  parser: string;
  fault: string;
  bytes: Buffer;
}

/** A process that runs parsers, restarted when it is lost. */
export class Runner {
  close(): void;
}

export function fuzzParser(
  name: string,
  options: { seed?: number; inputs?: number; milliseconds?: number; keep?: boolean; runner?: Runner },
): Promise<{ inputs: number; outcomes: number; findings: Finding[] }>;
