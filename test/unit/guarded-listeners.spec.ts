import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const root = path.resolve(import.meta.dirname, '../..');

/** All product code: a listener is called by Node.js, with nobody behind it who could catch. */
const FOLDERS = ['apps', 'libs'].flatMap((kind) =>
  readdirSync(path.join(root, kind)).map((name) => path.join(kind, name, 'src')),
);
/** Programs of a test, which may well end at an error. */
const TESTS = /\bspec\.ts$|\/src\/(.*\/)?(testing|simulation)\//;

/** Methods whose last argument is a listener. */
const LISTENING = new Set(['on', 'once', 'addListener', 'prependListener', 'prependOnceListener', 'addEventListener']);
/** Functions that take a listener, if they are given a function at all. */
const TAKING_LISTENERS = new Set(['createServer', 'createSecureServer', 'createConnection', 'listen']);
/** The last resort itself. */
const LAST_RESORT = new Set(['uncaughtException', 'unhandledRejection']);

/** Lines whose listener could let an exception through. */
function unguardedListeners(name: string, text: string): string[] {
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const listener = ts.isCallExpression(node) ? listenerOf(node) : undefined;
    if (listener && !isSafe(listener)) {
      found.push(`${name}:${source.getLineAndCharacterOfPosition(listener.getStart()).line + 1}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function listenerOf({ expression, arguments: parameters }: ts.CallExpression): ts.Expression | undefined {
  const isMethod = ts.isPropertyAccessExpression(expression);
  const called = isMethod ? expression.name.text : ts.isIdentifier(expression) ? expression.text : '';
  const last = parameters.at(-1);
  if (!last) return undefined;
  // `socket.setTimeout(ms, listener)`; the timers of the engine are no listeners
  const mayListen = TAKING_LISTENERS.has(called) || (isMethod && called === 'setTimeout');
  if (mayListen && (ts.isArrowFunction(last) || ts.isFunctionExpression(last))) return last;
  if (!isMethod || !LISTENING.has(called) || parameters.length < 2) return undefined;
  const [event] = parameters;
  return event && ts.isStringLiteral(event) && LAST_RESORT.has(event.text) ? undefined : last;
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
      .map((name) => path.join(folder, name))
      .filter((name) => name.endsWith('.ts') && !TESTS.test(name)),
  );

  it('is asked of every library and every application', () => {
    for (const folder of FOLDERS) expect(files.some((name) => name.startsWith(folder))).toBe(true);
    expect(files.length).toBeGreaterThan(300);
  });

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
    ['createServer((socket) => socket.end());', 1],
    ["http.createServer({}, function (request, response) { response.end('x'); });", 1],
    ['server.listen(port, host, () => answer());', 1],
    ['socket.setTimeout(1_000, () => socket.destroy());', 1],
    ['createServer(guarded(answer, fail));', 0],
    ['server.listen(port, host);', 0],
    ['setTimeout(() => next(), 10);', 0],
  ])('finds in %s: %d', (text, count) => {
    expect(unguardedListeners('example.ts', text)).toHaveLength(count);
  });
});
