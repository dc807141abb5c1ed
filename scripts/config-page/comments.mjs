// What the comments in src/training/config say of each key.
import { join } from 'node:path';
import ts from 'typescript';

const FILE = 'src/training/config/config.ts';

/**
 * Comments by the path of the key, as `data(sni).split` where an object is one of several kinds.
 *
 * @returns a function from the path to the sentences; undefined: there is no such key, '': nothing is said of it
 */
export function commentsOf(root) {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram([join(root, FILE)], { ...options, noEmit: true });
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(join(root, FILE));
  const alias = source.statements.find(
    (statement) => ts.isTypeAliasDeclaration(statement) && statement.name.text === 'TrainingConfigInput',
  );
  const found = new Map();
  visit(checker.getTypeAtLocation(alias.name), '');
  return (path) => found.get(path);

  function visit(type, path) {
    for (const symbol of checker.getPropertiesOfType(type)) {
      const own = path === '' ? symbol.name : `${path}.${symbol.name}`;
      const text = ts.displayPartsToString(symbol.getDocumentationComment(checker));
      found.set(
        own,
        text
          .replace(/\{@link (\w+)\}/g, '`$1`')
          .replace(/\s+/g, ' ')
          .trim(),
      );
      objectsOf(checker.getTypeOfSymbolAtLocation(symbol, alias), (inner, kind) =>
        visit(inner, kind === undefined ? own : `${own}(${kind})`),
      );
      for (const { type: named } of indexesOf(checker.getTypeOfSymbolAtLocation(symbol, alias)))
        visit(named, `${own}.NAME`);
    }
  }

  /** Calls with each object that a type may be, and the kind it is of where there are several. */
  function objectsOf(type, each) {
    const parts = (type.isUnion() ? type.types : [type]).filter(isPlain);
    for (const part of parts) each(part, kindOf(part));
  }

  /** What an object holds under names of the user's choice. */
  function indexesOf(type) {
    const parts = type.isUnion() ? type.types : [type];
    return parts
      .filter((part) => !checker.isArrayType(part))
      .flatMap((part) => [...checker.getIndexInfosOfType(part)]);
  }

  /** An object with keys of its own, neither a list nor one with any keys. */
  function isPlain(type) {
    if (!(type.flags & ts.TypeFlags.Object) || checker.isArrayType(type)) return false;
    const isAny = checker.getIndexInfosOfType(type).length > 0;
    return !isAny && checker.getPropertiesOfType(type).length > 0 && type.getCallSignatures().length === 0;
  }

  function kindOf(type) {
    for (const name of ['kind', 'name']) {
      const symbol = type.getProperty(name);
      const of = symbol && checker.getNonNullableType(checker.getTypeOfSymbolAtLocation(symbol, alias));
      if (of?.isStringLiteral()) return of.value;
    }
    return undefined;
  }
}
