// Decides with the type checker whether a type is an engine operation: a generator that yields Pause.

import ts from 'typescript';

/** Answers for one TypeScript program; `Op` and `Pause` are looked up in it once. */
export class OpTypes {
  readonly #program: ts.Program;
  readonly #checker: ts.TypeChecker;
  readonly #pauses: readonly ts.Type[];

  constructor(program: ts.Program) {
    this.#program = program;
    this.#checker = program.getTypeChecker();
    this.#pauses = program
      .getSourceFiles()
      .filter((file) => !file.isDeclarationFile)
      .flatMap((file) => this.#pauseDeclaredIn(file));
  }

  /** True for Op<T> under any name, and for a union or type parameter that may be one. */
  isOp(type: ts.Type): boolean {
    if (type.isUnion()) return type.types.some((part) => this.isOp(part));
    if (type.isTypeParameter()) {
      const constraint = this.#checker.getBaseConstraintOfType(type);
      return constraint !== undefined && this.isOp(constraint);
    }
    if (!isReference(type) || !this.#isStandardGenerator(type)) return false;
    const yielded = this.#checker.getTypeArguments(type).at(0);
    return yielded !== undefined && this.#isPause(yielded);
  }

  /** True for a function of which some overload returns an operation. */
  returnsOp(type: ts.Type): boolean {
    return type.getCallSignatures().some((signature) => this.isOp(signature.getReturnType()));
  }

  /** By name, or by being part of the Pause that stands beside Op (inferred types lose the name). */
  #isPause(type: ts.Type): boolean {
    if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown | ts.TypeFlags.Never)) return false;
    return (
      type.aliasSymbol?.name === 'Pause' ||
      type.getSymbol()?.name === 'Pause' ||
      this.#pauses.some((pause) => this.#checker.isTypeAssignableTo(type, pause))
    );
  }

  #isStandardGenerator(type: ts.TypeReference): boolean {
    const symbol = type.getSymbol();
    if (symbol?.name !== 'Generator') return false;
    return (symbol.declarations ?? []).some((declaration) =>
      this.#program.isSourceFileDefaultLibrary(declaration.getSourceFile()),
    );
  }

  #pauseDeclaredIn(file: ts.SourceFile): ts.Type[] {
    const exported = this.#checker.getSymbolAtLocation(file)?.exports;
    const pause = exported?.get(ts.escapeLeadingUnderscores('Pause'));
    if (pause === undefined || !exported?.has(ts.escapeLeadingUnderscores('Op'))) return [];
    return [this.#checker.getDeclaredTypeOfSymbol(pause)];
  }
}

function isReference(type: ts.Type): type is ts.TypeReference {
  return 'target' in type;
}
