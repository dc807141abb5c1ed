import { syntaxError, tokensOf, type Token } from './lexer.js';

/** The tokens of a template one by one, with a look at the next but one. */
export class TokenStream {
  current: Token;
  private ahead: Token | undefined;
  private readonly tokens: Iterator<Token>;

  /** @throws PythonError TemplateSyntaxError, here and when it goes on */
  constructor(template: string) {
    this.tokens = tokensOf(template);
    this.current = { type: 'begin', value: '', line: 1 };
    this.next();
  }

  /** The current token, which is left behind. */
  next(): Token {
    const { current } = this;
    this.current = this.ahead ?? this.read();
    this.ahead = undefined;
    return current;
  }

  /** The token after the current one. */
  look(): Token {
    return (this.ahead ??= this.read());
  }

  private read(): Token {
    const { done, value } = this.tokens.next() as IteratorResult<Token, undefined>;
    return done ? { type: 'eof', value: '', line: this.current.line } : value;
  }

  /** Whether the current token is of a type, or one of some names. */
  is(type: string): boolean {
    return this.current.type === type;
  }

  isName(...names: readonly string[]): boolean {
    return this.current.type === 'name' && names.includes(this.current.value as string);
  }

  /** Leaves a token of a type behind, if it is the current one. */
  skip(type: string): boolean {
    if (!this.is(type)) return false;
    this.next();
    return true;
  }

  skipName(name: string): boolean {
    if (!this.isName(name)) return false;
    this.next();
    return true;
  }

  /** The current token, which has to be of a type. @throws PythonError TemplateSyntaxError */
  expect(type: string): Token {
    if (!this.is(type)) this.fail(`expected token '${type}', got ${this.shown()}`);
    return this.next();
  }

  expectName(name: string): Token {
    if (!this.isName(name)) this.fail(`expected token '${name}', got ${this.shown()}`);
    return this.next();
  }

  /** How an error names the current token. */
  shown(): string {
    const { type, value } = this.current;
    return type === 'eof' ? 'the end of the template' : `'${type === 'name' ? String(value) : type.replaceAll('_', ' ')}'`; // prettier-ignore
  }

  /** @throws PythonError TemplateSyntaxError always */
  fail(message: string): never {
    return syntaxError(message, this.current.line);
  }
}
