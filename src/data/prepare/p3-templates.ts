import { basename, dirname, join, relative } from 'node:path';
import { HintError } from '../../util/errors.js';
import { publishedName } from '../p3/published-sizes.js';
import { filesBelow } from './files-below.js';

/** The files of a folder of promptsource's templates (`DATASET/SUBSET/templates.yaml`), by dataset. */
export class TemplateFolder {
  private constructor(private readonly files: ReadonlyMap<string, string>) {}

  /** @throws HintError NOT_FOUND, IO */
  static async open(folder: string): Promise<TemplateFolder> {
    const files = (await filesBelow(folder, 'the templates (--templates, a folder)'))
      .filter((path) => basename(path) === 'templates.yaml')
      .map((path) => join(folder, path));
    return new TemplateFolder(
      new Map(files.map((file) => [datasetAt(relative(folder, dirname(file))), file])),
    );
  }

  /** The file of a dataset, whose rounds share one where it has rounds. */
  fileOf(dataset: string): string | undefined {
    return this.files.get(publishedName(dataset).replace(/^anli_r[123]$/, 'anli'));
  }
}

/** The dataset of a path such as `super_glue/wsc.fixed`, as it is listed: `super_glue_wsc_fixed`. */
export function datasetAt(path: string): string {
  return publishedName(path.replace(/[^\p{L}\p{N}_.]+/gu, '_'));
}

/** What is said of a folder without the templates of a dataset that needs them. */
export function noTemplatesOf(folder: string, dataset: string): HintError {
  return new HintError(
    'NOT_FOUND',
    `${folder} has no templates of ${dataset}; give promptsource's whole folder promptsource/templates (https://github.com/bigscience-workshop/promptsource).`,
  );
}
