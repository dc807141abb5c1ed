import { Grammar, GrammarCompiler, TokenizerInfo, type CompiledGrammar } from '@mlc-ai/web-xgrammar';
import { HintError } from '../../util/errors.js';
import type { ConstraintSource } from './constraint.js';

const ROOT = 'hint_root';

/** The library of grammars of this thread: what it says of constraints, and whether it still can be used. */
export class Library {
  /**
   * Whether a call has ended in the middle. The library never gives back the stack of such a call, and may have left anything
   * half done: after some dozens it answers no constraint any more.
   */
  isBroken = false;

  /** @param complaints what the library has printed since it was last emptied */
  constructor(private readonly complaints: string[]) {}

  /**
   * The rules of a constraint: the name of the first one, and all rules behind it.
   *
   * @throws HintError INVALID_ARGUMENT for a constraint that cannot be one
   */
  async rulesOf(source: ConstraintSource): Promise<string> {
    const rules = await this.told(() => written(source));
    // What compiling them would break breaks it here, where no answer follows anything.
    const letters = await TokenizerInfo.createTokenizerInfo(['', 'a'], 'raw', false, 2, [0]);
    await this.compile(await GrammarCompiler.createGrammarCompiler(letters, false), rules, false);
    return rules;
  }

  /** @param beginsWithSpace whether a space comes in front @throws HintError INVALID_ARGUMENT */
  async compile(
    compiler: GrammarCompiler,
    rules: string,
    beginsWithSpace: boolean,
  ): Promise<CompiledGrammar> {
    const space = beginsWithSpace ? '" " ' : '';
    return this.told(() => compiler.compileGrammar(`${ROOT} ::= ${space}${rules}`, ROOT));
  }

  /** What the library prints about a constraint, as an error: a part that it passes over would be no constraint. */
  private async told<T>(work: () => Promise<T>): Promise<T> {
    this.complaints.length = 0;
    let failure: unknown;
    const result = await work().catch((error: unknown) => {
      failure = error;
      return undefined;
    });
    this.isBroken ||= isBreak(failure);
    const complaint = this.complaints.find((line) => /^\[(FATAL|WARNING)\]/.test(line));
    if (result !== undefined && complaint === undefined) return result;
    const said = (complaint ?? String(failure)).replace(/^\[\w+\] (?:\S+: )?/, '').trim();
    const what = said.replace(/^Check failed: .*? is (?:true|false): /, '').slice(0, 300);
    throw new HintError('INVALID_ARGUMENT', `The constraint cannot be used: ${what.replace(/\.$/, '')}.`);
  }
}

/** Whether an error is one that WebAssembly ended with in the middle of its work. */
export function isBreak(error: unknown): boolean {
  return error instanceof Error && error.name === 'RuntimeError';
}

async function written(source: ConstraintSource): Promise<string> {
  if (source.kind === 'choices')
    return `choices\nchoices ::= ${source.choices.map((choice) => JSON.stringify(choice)).join(' | ')}`;
  if (source.kind === 'regex') {
    const format = { type: 'regex' as const, pattern: source.pattern };
    const grammar = await Grammar.fromStructuralTag({ type: 'structural_tag', format });
    return `root\n${grammar.toString()}`;
  }
  const grammar = await Grammar.fromJSONSchema(source.json, false, -1, [', ', ': '], true);
  return `root\n${grammar.toString()}`;
}
