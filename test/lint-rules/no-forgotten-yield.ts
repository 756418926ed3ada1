// The lint rule that finds operations which nobody runs: `lockPage(page);` compiles, and locks nothing.
//
// An engine operation is a generator (`Op<T>` of engine/sched/op.ts). Calling one only creates it, so
// the operation has to go somewhere that can run it:
//
//     yield* op()               run it here
//     return op()               let the caller run it (not from inside a generator)
//     () => op()                the same
//     drive(op())               give it to a driver
//     const o = op()            keep it; also in an array or object that itself goes somewhere
//
// and the last four only if the receiver knows that it gets an operation: a parameter of type unknown,
// as in `assert(tryLockPage(page))`, or a callback that returns void, as in `pages.forEach(lockPage)`,
// runs nothing. Everything else is an error. The type checker says what is an Op, not the callee's name.

import {
  AST_NODE_TYPES,
  ESLintUtils,
  type ParserServicesWithTypeInformation,
  type TSESLint,
  type TSESTree,
} from '@typescript-eslint/utils';
import ts from 'typescript';
import { OpTypes } from './op-types.js';

type Complaint = 'forgotten' | 'starless' | 'awaited' | 'swallowed' | 'returned' | 'callback';

const messages: Record<Complaint, string> = {
  forgotten:
    'This operation never runs. Write `yield* …` to run it, return it, or hand it to a driver.',
  starless: '`yield` hands the operation to the driver as if it were a pause. Write `yield* …`.',
  awaited:
    '`await` does not run an operation. Hand it to a driver and await what the driver returns.',
  swallowed:
    'What receives this operation takes any value, so nothing runs it. Write `yield* …`, or hand it to a driver.',
  returned:
    'The caller of this generator would get an operation that never ran. Write `return yield* …`.',
  callback:
    'The receiver calls this function and drops the operation it returns. `yield*` it in a loop, or hand it to a driver.',
};

/** What is wrong with the place where an operation ends up, if anything. */
type Verdict = Complaint | undefined;
type Call = TSESTree.CallExpression | TSESTree.NewExpression;

const rule: TSESLint.RuleModule<Complaint> = {
  meta: {
    type: 'problem',
    docs: { description: 'Require that every engine operation is run, returned or handed over' },
    messages,
    schema: [],
  },

  create(context) {
    const services = ESLintUtils.getParserServices(context);
    const types = typesOf(services.program);

    /** A new operation: every place is wrong that is not known to be right. */
    function checkNew(node: TSESTree.Expression): void {
      if (!types.isOp(services.getTypeAtLocation(node))) return;
      const messageId = fateOf(services, node);
      if (messageId !== undefined) context.report({ node, messageId });
    }

    /** A stored operation: drivers call its methods and compare it, so only some places are wrong. */
    function checkStored(node: TSESTree.Identifier | TSESTree.MemberExpression): void {
      const messageId = fateOfStored(services, node);
      if (messageId === undefined || !types.isOp(services.getTypeAtLocation(node))) return;
      context.report({ node, messageId });
    }

    /** A function that creates operations, given to someone who calls it and drops the result. */
    function checkCallbacks(call: Call): void {
      for (const node of call.arguments) {
        if (node.type === AST_NODE_TYPES.ArrowFunctionExpression) continue; // its body is checked
        if (!types.returnsOp(services.getTypeAtLocation(node))) continue;
        const wanted = contextualType(services, node)?.getCallSignatures() ?? [];
        const dropped = wanted.some((signature) => takesAnything(signature.getReturnType()));
        if (dropped) context.report({ node, messageId: 'callback' });
      }
    }

    return {
      CallExpression(node): void {
        checkNew(node);
        checkCallbacks(node);
      },
      NewExpression: checkCallbacks,
      AwaitExpression(node): void {
        // `await op` is reported for the operation itself; what a promise gives out is new here.
        if (!types.isOp(services.getTypeAtLocation(node.argument))) checkNew(node);
      },
      Identifier: checkStored,
      MemberExpression: checkStored,
    };
  },
};
export default rule;

const cache = new WeakMap<ts.Program, OpTypes>();

function typesOf(program: ts.Program): OpTypes {
  let types = cache.get(program);
  if (types === undefined) {
    types = new OpTypes(program);
    cache.set(program, types);
  }
  return types;
}

/** Follows an operation upwards, through the expressions that only pass it on, to where it ends up. */
function fateOf(services: ParserServicesWithTypeInformation, node: TSESTree.Expression): Verdict {
  const { parent } = node;
  switch (parent.type) {
    case AST_NODE_TYPES.ChainExpression:
    case AST_NODE_TYPES.TSAsExpression:
    case AST_NODE_TYPES.TSNonNullExpression:
    case AST_NODE_TYPES.TSSatisfiesExpression:
    case AST_NODE_TYPES.ArrayExpression:
      return fateOf(services, parent);
    case AST_NODE_TYPES.Property:
      return parent.value === node && parent.parent.type === AST_NODE_TYPES.ObjectExpression
        ? fateOf(services, parent.parent)
        : 'forgotten';
    case AST_NODE_TYPES.ConditionalExpression:
      return parent.test === node ? 'forgotten' : fateOf(services, parent);
    case AST_NODE_TYPES.LogicalExpression:
      return parent.left === node && parent.operator === '&&'
        ? 'forgotten'
        : fateOf(services, parent);
    case AST_NODE_TYPES.SequenceExpression:
      return parent.expressions.at(-1) === node ? fateOf(services, parent) : 'forgotten';

    case AST_NODE_TYPES.YieldExpression:
      return parent.delegate ? undefined : 'starless';
    case AST_NODE_TYPES.AwaitExpression:
      return 'awaited';
    case AST_NODE_TYPES.ReturnStatement:
      return inGenerator(parent) ? 'returned' : fateByContext(services, node);
    case AST_NODE_TYPES.ArrowFunctionExpression:
      return fateByContext(services, node);
    case AST_NODE_TYPES.VariableDeclarator:
      return takesApart(parent.id, node) ? 'forgotten' : fateByContext(services, node);
    case AST_NODE_TYPES.AssignmentExpression:
      return takesApart(parent.left, node) ? 'forgotten' : fateByContext(services, node);
    case AST_NODE_TYPES.PropertyDefinition:
      return parent.value === node ? fateByContext(services, node) : 'forgotten';
    case AST_NODE_TYPES.AssignmentPattern: // a default value
      return fateByContext(services, node);
    case AST_NODE_TYPES.CallExpression:
    case AST_NODE_TYPES.NewExpression:
      return parent.callee === node ? 'forgotten' : fateOfArgument(services, parent, node);
    default:
      return 'forgotten';
  }
}

function fateOfStored(
  services: ParserServicesWithTypeInformation,
  node: TSESTree.Identifier | TSESTree.MemberExpression,
): Verdict {
  const { parent } = node;
  switch (parent.type) {
    case AST_NODE_TYPES.YieldExpression:
      return parent.delegate ? undefined : 'starless';
    case AST_NODE_TYPES.AwaitExpression:
      return 'awaited';
    case AST_NODE_TYPES.ExpressionStatement:
    case AST_NODE_TYPES.SpreadElement:
    case AST_NODE_TYPES.TemplateLiteral:
    case AST_NODE_TYPES.UnaryExpression:
      return 'forgotten';
    case AST_NODE_TYPES.ForOfStatement:
      return parent.right === node ? 'forgotten' : undefined;
    case AST_NODE_TYPES.CallExpression:
    case AST_NODE_TYPES.NewExpression:
      return parent.callee === node ? undefined : fateOfArgument(services, parent, node);
    default:
      return undefined;
  }
}

/** Whether the place that receives the expression is declared to take anything, or nothing. */
function fateByContext(
  services: ParserServicesWithTypeInformation,
  node: TSESTree.Expression,
): Verdict {
  const wanted = contextualType(services, node);
  return wanted !== undefined && takesAnything(wanted) ? 'swallowed' : undefined;
}

/** An argument is swallowed by a parameter of type any, unknown, or a bare type parameter of the callee. */
function fateOfArgument(
  services: ParserServicesWithTypeInformation,
  call: Call,
  node: TSESTree.Expression,
): Verdict {
  const byContext = fateByContext(services, node);
  if (byContext !== undefined) return byContext;
  const checker = services.program.getTypeChecker();
  const callee = checker.getResolvedSignature(
    services.esTreeNodeToTSNodeMap.get(call),
  )?.declaration;
  if (callee === undefined || ts.isJSDocSignature(callee)) return undefined;
  const index = call.arguments.indexOf(node);
  const parameter = callee.parameters.at(index);
  if (parameter === undefined) return undefined;
  const declared = checker.getTypeAtLocation(parameter);
  const own = callee.typeParameters?.some((one) => checker.getTypeAtLocation(one) === declared);
  const bare = own === true && checker.getBaseConstraintOfType(declared) === undefined;
  // What returns the value that it was given, as identity() does, passes the operation on.
  const returns = callee.type === undefined ? undefined : checker.getTypeAtLocation(callee.type);
  return bare && returns !== declared ? 'swallowed' : undefined;
}

function contextualType(
  services: ParserServicesWithTypeInformation,
  node: TSESTree.Node,
): ts.Type | undefined {
  const expression = services.esTreeNodeToTSNodeMap.get(node);
  if (!ts.isExpression(expression)) return undefined;
  return services.program.getTypeChecker().getContextualType(expression);
}

function takesAnything(type: ts.Type): boolean {
  return (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown | ts.TypeFlags.Void)) !== 0;
}

/** `const { value } = op()` looks into the generator instead of running it. */
function takesApart(target: TSESTree.Node, node: TSESTree.Expression): boolean {
  return (
    (target.type === AST_NODE_TYPES.ObjectPattern || target.type === AST_NODE_TYPES.ArrayPattern) &&
    node.type !== AST_NODE_TYPES.ArrayExpression &&
    node.type !== AST_NODE_TYPES.ObjectExpression
  );
}

function inGenerator(node: TSESTree.Node): boolean {
  for (let up = node.parent; up !== undefined; up = up.parent) {
    if (up.type === AST_NODE_TYPES.ArrowFunctionExpression) return false;
    if (up.type === AST_NODE_TYPES.FunctionDeclaration) return up.generator;
    if (up.type === AST_NODE_TYPES.FunctionExpression) return up.generator;
  }
  return false;
}
