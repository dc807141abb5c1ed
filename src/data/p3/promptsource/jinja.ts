import { withoutPause, type Pausing } from '../../../formats/jinja/execute.js';
import { Template } from '../../../formats/jinja/template.js';
import type { Value } from '../../../formats/jinja/python/values.js';
import { withinSeconds } from '../../../util/limits.js';
import { FieldNames } from './fields.js';

/** What a template gives for a row: text, and the texts that came of the row's fields. */
export type RenderedPart = { readonly text: string } | { readonly text: string; readonly field: string };

/** How a template is compiled. */
export interface JinjaOptions {
  /** Where it stands, for errors. */
  readonly where: string;
  /** Longest text of one output expression in characters; absent: no limit. */
  readonly longest?: number;
  /** Names that are known beside the row's fields, and whether their values come from the row. */
  readonly given?: ReadonlyMap<string, boolean>;
}

/**
 * A Jinja template of which it is known, for each output, whether it came from a field of the row: an expression with a field
 * in it is one, and so is a whole loop over a field.
 */
export class JinjaTemplate {
  private readonly template: Template;
  private readonly names: FieldNames;

  /** @throws HintError INVALID_DATA for a template that cannot be read, LIMIT_EXCEEDED for one that takes too long */
  constructor(
    source: string,
    private readonly options: JinjaOptions,
  ) {
    this.template = new Template(source, options.where);
    this.names = withinSeconds(
      options.where,
      () => new FieldNames(this.template.body, options.given ?? new Map()),
    );
  }

  /** Fields of the row that it reads. */
  get fields(): ReadonlySet<string> {
    return this.names.fields;
  }

  /** Whether a field of the row takes part. */
  get dependsOnRow(): boolean {
    return this.fields.size > 0 || [...(this.options.given?.values() ?? [])].some(Boolean);
  }

  /**
   * Renders a row.
   *
   * @param variables the row's fields, and what was given
   * @param random uniform in [0, 1), for filters that draw
   * @param parts gathers what is rendered, so that what came before a failure is there
   * @throws HintError INVALID_DATA where the template fails; LIMIT_EXCEEDED where it takes more steps, time or memory than a
   *   record may
   */
  render(
    variables: ReadonlyMap<string, Value>,
    random: () => number,
    parts: RenderedPart[] = [],
  ): RenderedPart[] {
    return withoutPause(this.renderInPauses(variables, random, parts));
  }

  /** {@link render} with pauses. */
  *renderInPauses(
    variables: ReadonlyMap<string, Value>,
    random: () => number,
    parts: RenderedPart[] = [],
  ): Pausing<RenderedPart[]> {
    yield* this.template.renderInPauses(variables, {
      random,
      longest: this.options.longest,
      isOne: (node) => this.names.isOne(node),
      write: (text, node) => {
        const field = node && this.names.nameOf(node);
        if (text !== '' || field !== undefined) parts.push(field === undefined ? { text } : { text, field });
      },
    });
    return parts;
  }
}
