#!/usr/bin/env node
import { createProgram, exitCodeOf } from './program.js';
import { watchForEnding } from './support/ending.js';

watchForEnding();
try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}
