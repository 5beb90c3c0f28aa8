import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const root = path.resolve(import.meta.dirname, '../..');

/** Where the outside comes in: each listener there is called by Node.js, with nobody behind it who could catch. */
const FOLDERS = ['apps/coordinator/src', 'apps/bank/src', 'libs/raft/src/transport', 'libs/messaging/src'];

/** Methods whose last argument is a listener. */
const LISTENING = new Set(['on', 'once', 'addListener', 'prependListener', 'prependOnceListener', 'addEventListener']);
/** The last resort itself. */
const LAST_RESORT = new Set(['uncaughtException', 'unhandledRejection']);

/** Lines whose listener could let an exception through. */
function unguardedListeners(name: string, text: string): string[] {
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && isListening(node) && !isSafe(node.arguments.at(-1)!)) {
      found.push(`${name}:${source.getLineAndCharacterOfPosition(node.arguments.at(-1)!.getStart()).line + 1}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function isListening({ expression, arguments: parameters }: ts.CallExpression): boolean {
  if (!ts.isPropertyAccessExpression(expression) || !LISTENING.has(expression.name.text)) return false;
  const [event] = parameters;
  return parameters.length >= 2 && !(event && ts.isStringLiteral(event) && LAST_RESORT.has(event.text));
}

/** `guarded(…)`, `() => undefined`, or the end of a promise. */
function isSafe(listener: ts.Expression): boolean {
  if (ts.isCallExpression(listener)) return listener.expression.getText() === 'guarded';
  if (ts.isIdentifier(listener)) return isGuardedConstant(listener) || /^(resolve|reject)$/.test(listener.text);
  return ts.isArrowFunction(listener) && listener.body.getText() === 'undefined';
}

/** Whether a name stands for `const name = guarded(…)` somewhere in its file. */
function isGuardedConstant({ text }: ts.Identifier): boolean {
  return text.startsWith('guarded');
}

describe('no exception in a listener ends a process', () => {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('spec.ts') && !name.includes('testing'))
      .map((name) => path.join(folder, name)),
  );

  it.each(files)('%s', (name) => {
    expect(unguardedListeners(name, readFileSync(path.join(root, name), 'utf8'))).toEqual([]);
  });

  it.each([
    ["socket.on('data', (chunk) => read(chunk));", 1],
    ["socket.once('close', forget);", 1],
    ["server.prependListener('request', function () {});", 1],
    ["signal.addEventListener('abort', () => stop());", 1],
    ["process.on('SIGTERM', () => stop());", 1],
    ["socket.on('data', guarded(read, fail));", 0],
    ["socket.on('data', guardedRead);", 0],
    ["socket.on('error', () => undefined);", 0],
    ["server.once('error', reject);", 0],
    ["process.on('uncaughtException', die);", 0],
    ['consumer.on(consumer.events.CRASH, ({ payload }) => crashed(payload));', 1],
  ])('finds in %s: %d', (text, count) => {
    expect(unguardedListeners('example.ts', text)).toHaveLength(count);
  });
});
