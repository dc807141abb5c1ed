import { GrammarCompiler, GrammarMatcher, TokenizerInfo, type CompiledGrammar } from '@mlc-ai/web-xgrammar';
import { HintError } from '../../util/errors.js';
import { FORBIDDEN } from '../decode/row-masks.js';
import type { ConstraintSource } from './constraint.js';
import type { Library } from './library.js';
import type { GrammarRequest, OfferedPiece, StepResult, Vocabulary } from './messages.js';

type OpenRequest = Extract<GrammarRequest, { kind: 'open' }>;
type StepRequest = Extract<GrammarRequest, { kind: 'step' }>;

/** Grammars that stay compiled. */
const KEPT = 64;
/** Vocabularies with letters of their own that stay prepared. */
const KEPT_VOCABULARIES = 4;

/** A vocabulary with the pieces that it lacks behind its own ids. */
interface Writing {
  readonly lacks: readonly string[];
  readonly compiler: GrammarCompiler;
}

interface Session {
  readonly lacks: readonly string[];
  readonly matchers: readonly GrammarMatcher[];
  /** What was written so far, to say where an answer cannot go on. */
  readonly texts: string[];
}

/** Compiles the rules of constraints to grammars, and says what rows that follow them may take next. Lives in a thread of its own. */
export class GrammarBook {
  private readonly compiled = new Map<string, { grammar: CompiledGrammar; lacks: readonly string[] }>();
  private readonly writings = new Map<string, Promise<Writing>>();
  private readonly sessions = new Map<number, Session>();
  private readonly known: ReadonlySet<string>;
  private next = 0;

  constructor(
    private readonly vocabulary: Vocabulary,
    private readonly library: Library,
  ) {
    this.known = new Set(vocabulary.texts);
  }

  /** @returns the number of a session of some rows @throws HintError INVALID_ARGUMENT, NOT_SUPPORTED */
  async open({ source, rules, rows }: OpenRequest): Promise<number> {
    const { grammar, lacks } = await this.compile(source, rules);
    const matchers: GrammarMatcher[] = [];
    for (let row = 0; row < rows; row++) matchers.push(await GrammarMatcher.createGrammarMatcher(grammar));
    const session = this.next++;
    this.sessions.set(session, { lacks, matchers, texts: new Array<string>(rows).fill('') });
    return session;
  }

  /** @throws HintError NOT_SUPPORTED naming what a row needs and cannot write */
  async step({ session: number, accepted, rows, restarted }: StepRequest): Promise<StepResult> {
    const session = this.sessions.get(number) as Session;
    for (const row of restarted) {
      session.matchers[row]?.reset();
      session.texts[row] = '';
    }
    for (const [row, id] of accepted) {
      session.matchers[row]?.acceptToken(id);
      session.texts[row] += this.textOf(session, id);
    }
    const { length } = this.vocabulary.texts;
    const masks = new Float32Array(rows.length * length).fill(FORBIDDEN);
    const offered: (OfferedPiece | undefined)[] = [];
    for (const [i, row] of rows.entries())
      offered.push(await this.allow(session, row, masks.subarray(i * length, (i + 1) * length)));
    return { masks, offered };
  }

  close(number: number): void {
    for (const matcher of this.sessions.get(number)?.matchers ?? []) matcher.dispose();
    this.sessions.delete(number);
  }

  /** Takes the ban off what a row may take next. @returns the piece that the vocabulary lacks, where it is the only such one */
  private async allow(
    { lacks, matchers, texts }: Session,
    row: number,
    mask: Float32Array,
  ): Promise<OfferedPiece | undefined> {
    const { eosId, unkId } = this.vocabulary;
    const bits = await (matchers[row] as GrammarMatcher).getNextTokenBitmask();
    const has = (id: number): boolean => (((bits[id >> 5] as number) >>> (id & 31)) & 1) === 1;
    let isFree = false;
    for (let id = 0; id < mask.length; id++)
      if (has(id)) {
        mask[id] = 0;
        isFree = true;
      }
    const missing = lacks.flatMap((text, i) => (has(mask.length + i) ? [{ text, id: mask.length + i }] : []));
    const [only] = missing;
    if (only && missing.length === 1 && unkId !== undefined) {
      const mayEnd = has(eosId);
      mask[unkId] = 0;
      // A model that writes no unknown token ends where it has nothing more to say.
      if (isFree) mask[eosId] = 0;
      return { ...only, mayEnd };
    }
    if (isFree) return undefined;
    const names = missing.map(({ text }) => JSON.stringify(text)).join(', ');
    throw new HintError(
      'NOT_SUPPORTED',
      `After ${JSON.stringify((texts[row] as string).slice(-40))} the constraint asks for ${names === '' ? 'letters' : `one of ${names}`}, which the vocabulary of the model lacks; constrain the answer to texts that it can write.`,
    );
  }

  private textOf({ lacks }: Session, id: number): string {
    const { texts } = this.vocabulary;
    return texts[id] ?? lacks[id - texts.length] ?? '';
  }

  private async compile(
    source: ConstraintSource,
    rules: string,
  ): Promise<{ grammar: CompiledGrammar; lacks: readonly string[] }> {
    const key = JSON.stringify(source);
    const known = this.compiled.get(key);
    if (known) {
      this.compiled.delete(key);
      this.compiled.set(key, known);
      return known;
    }
    const { lacks, compiler } = await this.writing(foreignLetters(source, this.known));
    const grammar = await this.library.compile(compiler, rules, this.vocabulary.beginsWithSpace);
    this.compiled.set(key, { grammar, lacks });
    const [oldest] = this.compiled.keys();
    // Matchers that follow it hold what they need of it.
    if (this.compiled.size > KEPT && oldest !== undefined) this.compiled.delete(oldest);
    return { grammar, lacks };
  }

  private writing(letters: string): Promise<Writing> {
    const known = this.writings.get(letters);
    if (known) return known;
    const made = this.prepare([...ASCII, ...letters].filter((letter) => !this.known.has(letter)));
    this.writings.set(letters, made);
    const [, oldest] = this.writings.keys();
    // The first is that of no further letters, which most constraints need.
    if (this.writings.size > KEPT_VOCABULARIES && oldest !== undefined) this.writings.delete(oldest);
    return made;
  }

  private async prepare(lacks: readonly string[]): Promise<Writing> {
    const { texts, eosId } = this.vocabulary;
    const size = texts.length + lacks.length;
    const info = await TokenizerInfo.createTokenizerInfo([...texts, ...lacks], 'raw', false, size, [eosId]);
    return { lacks, compiler: await GrammarCompiler.createGrammarCompiler(info, false) };
  }
}

const ASCII = ['\n', '\t', ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i))];

/** Letters of a constraint beyond ASCII that the vocabulary lacks, in an order that does not depend on where they stand. */
function foreignLetters(source: ConstraintSource, known: ReadonlySet<string>): string {
  const text =
    source.kind === 'choices'
      ? source.choices.join('')
      : source.kind === 'regex'
        ? source.pattern
        : source.json;
  return [...new Set(text)]
    .filter((letter) => letter > '\x7f' && !known.has(letter))
    .sort()
    .join('');
}
