import { isUtf8 } from 'node:buffer';
import { LIMITS } from '@concordat/commit-protocol';
import { fitText, isExactText } from '@concordat/foundation';
import { RequestRefusedError } from './problems.js';

/** Larger bodies are refused with 413 `BODY_TOO_LARGE`. */
export const BODY_LIMIT_BYTES = 1024 * 1024;

/**
 * Parses a JSON body, and refuses what JSON.parse accepts silently: invalid UTF-8, numbers beyond 2^53-1 (rounded), NUL
 * and lone surrogates (databases and UTF-8 cannot store them, so two texts would become one), keys that reach
 * prototypes, and unbounded nesting.
 *
 * @returns undefined for an empty body
 * @throws RequestRefusedError with the path of the value
 */
export function parseJsonBody(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw new RequestRefusedError('INVALID_JSON', 'the body is not valid UTF-8');
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new RequestRefusedError('INVALID_JSON', 'the body cannot be read as JSON', [], { cause: error });
  }
  checkValue(value, 0, []);
  return value;
}

/** @param path one array for the whole walk; formatted only for an error */
function checkValue(value: unknown, depth: number, path: (string | number)[]): void {
  if (typeof value === 'number') {
    if (value <= Number.MAX_SAFE_INTEGER && value >= -Number.MAX_SAFE_INTEGER) return;
    refuse('INVALID_NUMBER', path, 'is beyond 2^53-1 and would be rounded; send it as a string');
  }
  if (typeof value === 'string' && !isExactText(value)) refuseText(path);
  if (typeof value !== 'object' || value === null) return;
  if (depth >= LIMITS.jsonDepth) {
    throw new RequestRefusedError('NESTED_TOO_DEEPLY', `the body has more than ${LIMITS.jsonDepth} levels`);
  }
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      path.push(index);
      checkValue(value[index], depth + 1, path);
      path.pop();
    }
    return;
  }
  for (const key of Object.keys(value)) {
    const child = (value as Record<string, unknown>)[key];
    path.push(key);
    if (!isExactText(key)) refuseText(path);
    if (key === '__proto__' || (key === 'constructor' && hasPrototypeKey(child))) {
      refuse('FORBIDDEN_KEY', path, 'is a forbidden key');
    }
    checkValue(child, depth + 1, path);
    path.pop();
  }
}

function hasPrototypeKey(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype');
}

function refuseText(path: (string | number)[]): never {
  return refuse('INVALID_TEXT', path, 'contains NUL or a lone surrogate, which cannot be stored');
}

function refuse(
  code: 'INVALID_NUMBER' | 'INVALID_TEXT' | 'FORBIDDEN_KEY',
  path: (string | number)[],
  message: string,
): never {
  const text = formatPath(path);
  throw new RequestRefusedError(code, `${text || 'the body'} ${message}`, [{ path: text, message }]);
}

/** Longer paths are cut: a key may be as long as a body. */
const MAXIMUM_PATH_LENGTH = 200;

/** Writes a path as in `branches[2].payload`. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return fitText(text, MAXIMUM_PATH_LENGTH);
}
