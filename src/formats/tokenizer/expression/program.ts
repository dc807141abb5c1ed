import type { CharacterSet } from '../unicode/characters.js';
import { ExpressionFault, type Node, type Place } from './parse.js';

// Instructions, with what their operands a and b are.
export const CLASS = 0; // a: class; then the next instruction
export const FORK = 1; // a, and b where a fails
export const JUMP = 2; // a
export const PLACE = 3; // a: place
export const LOOK = 4; // a: look
export const FOUND = 5;
export const KEEP = 6; // a: class; stays here while the class matches, and never gives back

const MOST_INSTRUCTIONS = 4000;
const LONGEST_LOOK = 64;
/** Places by their number in an instruction. */
export const PLACES: readonly Place[] = [
  'start', 'end', 'end-or-line-feed', 'line-start', 'line-end', 'edge', 'no-edge',
]; // prettier-ignore

/** A look ahead or behind. */
export interface Look {
  readonly start: number;
  readonly behind: boolean;
  readonly negative: boolean;
  /** Characters of its body, which looking behind has to step back. */
  readonly length: number;
}

/** The instructions that an expression is compiled to. */
export class Program {
  readonly operations: number[] = [];
  /** Operand a of each instruction. */
  readonly first: number[] = [];
  /** Operand b. */
  readonly second: number[] = [];
  readonly classes: CharacterSet[] = [];
  readonly looks: Look[] = [];

  /** @throws ExpressionFault for an expression that is too long, or cannot be found in linear time */
  constructor(node: Node) {
    this.compile(node);
    this.emit(FOUND);
  }

  private emit(operation: number, first = 0, second = 0): number {
    if (this.operations.length >= MOST_INSTRUCTIONS) throw new ExpressionFault('that is too long');
    this.operations.push(operation);
    this.first.push(first);
    this.second.push(second);
    return this.operations.length - 1;
  }

  private compile(node: Node): void {
    switch (node.kind) {
      case 'class':
        this.emit(CLASS, this.classes.push(node.has) - 1);
        return;
      case 'place':
        this.emit(PLACE, PLACES.indexOf(node.place));
        return;
      case 'sequence':
        for (const part of node.parts) this.compile(part);
        return;
      case 'alternatives':
        this.compileAlternatives(node.parts);
        return;
      case 'repeat':
        this.compileRepeat(node);
        return;
      case 'look':
        this.compileLook(node);
    }
  }

  private compileAlternatives(parts: readonly Node[]): void {
    const ends: number[] = [];
    parts.forEach((part, i) => {
      if (i === parts.length - 1) return this.compile(part);
      const fork = this.emit(FORK);
      this.first[fork] = fork + 1;
      this.compile(part);
      ends.push(this.emit(JUMP));
      this.second[fork] = this.operations.length;
    });
    for (const end of ends) this.first[end] = this.operations.length;
  }

  private compileRepeat({ part, min, max, mode }: Extract<Node, { kind: 'repeat' }>): void {
    // What Oniguruma then finds depends on how it came there, which linear time does not allow for.
    if (max === Infinity && mayBeEmpty(part)) throw new ExpressionFault('that repeats what may be empty');
    for (let i = 0; i < min; i++) this.compile(part);
    if (mode === 'possessive' && max === Infinity && part.kind === 'class') {
      this.emit(KEEP, this.classes.push(part.has) - 1);
      return;
    }
    if (mode === 'possessive') throw new ExpressionFault('with ?+');
    const close = (at: number, inside: number, outside: number): void => {
      this.first[at] = mode === 'lazy' ? outside : inside;
      this.second[at] = mode === 'lazy' ? inside : outside;
    };
    if (max === Infinity) {
      const start = this.emit(FORK);
      this.compile(part);
      this.emit(JUMP, start);
      close(start, start + 1, this.operations.length);
      return;
    }
    const forks: number[] = [];
    for (let i = min; i < max; i++) {
      forks.push(this.emit(FORK));
      this.compile(part);
    }
    for (const at of forks) close(at, at + 1, this.operations.length);
  }

  private compileLook({ part, behind, negative }: Extract<Node, { kind: 'look' }>): void {
    const { least, most } = lengthOf(part);
    if (most > LONGEST_LOOK) throw new ExpressionFault('that looks ahead or behind without an end');
    if (behind && least !== most) throw new ExpressionFault('that looks behind for texts of several lengths');
    const look = this.emit(LOOK);
    const over = this.emit(JUMP);
    const start = this.operations.length;
    this.compile(part);
    this.emit(FOUND);
    this.first[look] = this.looks.push({ start, behind, negative, length: least }) - 1;
    this.first[over] = this.operations.length;
  }
}

function mayBeEmpty(node: Node): boolean {
  if (node.kind === 'class') return false;
  if (node.kind === 'repeat') return node.min === 0 || mayBeEmpty(node.part);
  if (node.kind === 'sequence') return node.parts.every(mayBeEmpty);
  return node.kind !== 'alternatives' || node.parts.some(mayBeEmpty);
}

function lengthOf(node: Node): { least: number; most: number } {
  if (node.kind === 'class') return { least: 1, most: 1 };
  if (node.kind === 'place') return { least: 0, most: 0 };
  if (node.kind === 'look') throw new ExpressionFault('that looks ahead or behind within a look');
  if (node.kind === 'repeat') {
    if (node.mode === 'possessive') throw new ExpressionFault('with a possessive repetition in a look');
    const { least, most } = lengthOf(node.part);
    return { least: least * node.min, most: most === 0 ? 0 : most * node.max };
  }
  const lengths = node.parts.map(lengthOf);
  if (node.kind === 'alternatives')
    return {
      least: Math.min(...lengths.map(({ least }) => least)),
      most: Math.max(...lengths.map(({ most }) => most)),
    };
  return {
    least: lengths.reduce((sum, { least }) => sum + least, 0),
    most: lengths.reduce((sum, { most }) => sum + most, 0),
  };
}
