#!/usr/bin/env node
import { createProgram, exitCodeOf } from './program.js';
import { watchForEnding } from './support/ending.js';

watchForEnding();
try {
  const program = await createProgram(process.argv[2]);
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}
