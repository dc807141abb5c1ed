import { describe, expect, it } from 'vitest';
import {
  createPrompt,
  hintDefinition,
  hintDefinitionWithPositives,
  mimicInput,
  mimicInstruction,
  tkInstructPrompt,
  type PromptSetting,
} from '../../../src/data/natural-instructions/prompts.js';

/** One token a word, plus the end of sequence. */
const words = (text: string): number => text.split(/\s+/).filter(Boolean).length + 1;
const tokenizer = {
  tokenLength: words,
  truncate: (text: string, maxTokens: number): string =>
    text.split(/\s+/).filter(Boolean).slice(0, maxTokens).join(' '),
};
const task = {
  definition: ' Name the capital of the country ',
  positiveExamples: [
    { input: 'France\n', output: 'Paris' },
    { input: 'Which one is it, Italy?', output: 'Rome!' },
    { input: 'Spain', output: '' },
  ],
};

describe('HINT prompts', () => {
  it('give the hypernetwork the bare definition, without a marker, in the Def setting', () => {
    expect(hintDefinition(task.definition)).toBe('Name the capital of the country');
    expect(hintDefinition('\u0085\x1c Say it.\u3000\n')).toBe('Say it.');
    expect(hintDefinition('\uFEFFSay it')).toBe('\uFEFFSay it');
  });

  it('put the definition last and the examples in reverse order', () => {
    expect(hintDefinitionWithPositives(task, 2, words)).toBe(
      ' Positive Example 2 -\nInput: Which one is it, Italy?\n Output: Rome!\n' +
        ' Positive Example 1 -\nInput: France.\n Output: Paris.\n' +
        'Definition:  Name the capital of the country ',
    );
  });

  it('dot an empty output after its marker, as the original does', () => {
    const only = { definition: 'D', positiveExamples: [task.positiveExamples[2]!] };
    expect(hintDefinitionWithPositives(only, 2, words)).toBe(
      ' Positive Example 1 -\nInput: Spain.\n Output: .\nDefinition: D',
    );
  });

  it('leave out an example that does not fit and still try the next', () => {
    const long = { input: 'x '.repeat(2000), output: 'y' };
    const mixed = { definition: 'D', positiveExamples: [long, task.positiveExamples[0]!] };
    expect(hintDefinitionWithPositives(mixed, 2, words)).toBe(
      ' Positive Example 2 -\nInput: France.\n Output: Paris.\nDefinition: D',
    );
  });

  it('count the end of sequence in the budget', () => {
    const one = { definition: 'D', positiveExamples: [task.positiveExamples[0]!] };
    expect(words(hintDefinitionWithPositives(one, 1, words))).toBe(11);
    expect(hintDefinitionWithPositives(one, 1, words, 11)).toContain('France');
    expect(hintDefinitionWithPositives(one, 1, words, 10)).toBe('Definition: D');
  });

  it('show the model the input verbatim, neither stripped nor marked', () => {
    const { formatInput, instruction } = createPrompt(task, { format: 'hint', positives: 0 }, tokenizer);
    expect(formatInput(' What? \n')).toBe(' What? \n');
    expect(formatInput('')).toBe('');
    expect(instruction).toBe('Name the capital of the country');
  });
});

describe('Tk-Instruct prompts', () => {
  it('are the definition and the task block in the Def setting', () => {
    expect(tkInstructPrompt(task, 0, ' Peru', tokenizer)).toBe(
      'Definition: Name the capital of the country.\n\nNow complete the following example -\nInput: Peru.\nOutput:',
    );
  });

  it('have the examples in order, each followed by an empty line, in Def + 2 Pos', () => {
    expect(tkInstructPrompt(task, 2, 'Is it Peru?', tokenizer)).toBe(
      'Definition: Name the capital of the country.\n\n' +
        ' Positive Example 1 -\nInput: France.\n Output: Paris.\n\n' +
        ' Positive Example 2 -\nInput: Which one is it, Italy?\n Output: Rome!\n\n' +
        'Now complete the following example -\nInput: Is it Peru?\nOutput:',
    );
  });

  it('stop at the first example that does not fit', () => {
    const long = { input: 'x '.repeat(2000), output: 'y' };
    const mixed = { definition: 'D', positiveExamples: [long, task.positiveExamples[0]!] };
    expect(tkInstructPrompt(mixed, 2, 'Peru', tokenizer)).not.toContain('Example 2');
    expect(tkInstructPrompt(mixed, 2, 'Peru', tokenizer)).not.toContain('France');
  });

  it('cut a source that is too long by itself to its first tokens', () => {
    const source = tkInstructPrompt(task, 2, 'x '.repeat(5000), tokenizer);
    expect(source.split(' ')).toHaveLength(1024);
    expect(source.startsWith('Definition: Name the capital')).toBe(true);
    expect(source.endsWith('x x')).toBe(true);
  });

  it('equal the two halves of the mimic format put together', () => {
    for (const input of ['Peru', ' a\n', '', 'end!'])
      expect((mimicInstruction(task.definition) + mimicInput(input)).trim()).toBe(
        tkInstructPrompt(task, 0, input, tokenizer),
      );
    expect(mimicInput('')).toBe('Now complete the following example -\nInput: .\nOutput: ');
  });
});

describe('createPrompt', () => {
  it('feeds an instruction in exactly the formats that have one', () => {
    const instruction = (setting: PromptSetting): string | null =>
      createPrompt(task, setting, tokenizer).instruction;
    expect(instruction({ format: 'hint', positives: 2 })).toMatch(/^ Positive Example 2/);
    expect(instruction({ format: 'hint-mimic', positives: 0 })).toMatch(/^Definition: /);
    expect(instruction({ format: 'tk-instruct', positives: 2 })).toBeNull();
    expect(instruction({ format: 'no-instruct', positives: 0 })).toBeNull();
  });

  it('leaves the input alone without instructions', () => {
    expect(createPrompt(task, { format: 'no-instruct', positives: 0 }, tokenizer).formatInput(' x ')).toBe(
      ' x ',
    );
  });

  it('refuses settings that do not exist', () => {
    const refuse =
      (setting: object): (() => unknown) =>
      () =>
        createPrompt(task, setting as PromptSetting, tokenizer);
    expect(refuse({ format: 'hints', positives: 0 })).toThrow(/No prompt format "hints"/);
    expect(refuse({ format: 'hint', positives: -1 })).toThrow(/positives is -1/);
    expect(refuse({ format: 'no-instruct', positives: 2 })).toThrow(/no positive examples/);
  });
});
