import { types } from 'node:util';
import { fitText, isExactText } from './text.js';

/** Why a value has no JSON text, as the end of a sentence: "results[0].balance is NaN". */
export class NotJsonError extends Error {
  override readonly name = 'NotJsonError';

  /** @param path of the value, outermost step first */
  constructor(
    readonly path: readonly (string | number)[],
    readonly complaint: string,
    options?: ErrorOptions,
  ) {
    super(`${formatValuePath(path)} ${complaint}`, options);
  }
}

/** The JSON text of a value would have more bytes than allowed. */
export class JsonTooLargeError extends Error {
  override readonly name = 'JsonTooLargeError';
}

export interface JsonTextLimits {
  /** nesting of arrays and objects */
  readonly depth: number;
  /** of the text in UTF-8 */
  readonly sizeBytes: number;
}

/**
 * The JSON text of a handler's value, if JSON can represent all of it. Stricter than `JSON.stringify`, which writes
 * `null` or nothing for the rest. Refuses NaN and infinities, functions, symbols, BigInt, holes and `undefined` in
 * arrays, cycles, objects that would be empty (Map, Set, Promise, Error, bytes), inexact texts, and whatever throws. An
 * `undefined` field is left out, `toJSON` is called, and -0 is 0.
 *
 * Reads every property once, and no more of the value than fits.
 *
 * @throws NotJsonError, JsonTooLargeError, and no other error
 */
export function toJsonText(value: unknown, limits: JsonTextLimits): string {
  const writer = new JsonWriter(limits);
  writer.write(value, '');
  return writer.text;
}

class JsonWriter {
  text = '';
  private sizeBytes = 0;
  private readonly path: (string | number)[] = [];
  private readonly ancestors = new Set<object>();

  constructor(private readonly limits: JsonTextLimits) {}

  write(given: unknown, key: string): void {
    this.writeResolved(this.resolve(given, key));
  }

  private writeResolved(value: unknown): void {
    switch (typeof value) {
      case 'string':
        return this.writeText(value);
      case 'boolean':
        return this.append(value ? 'true' : 'false');
      case 'number':
        if (!Number.isFinite(value)) this.refuse(`is ${value}`);
        return this.append(JSON.stringify(value));
      case 'object':
        return value === null ? this.append('null') : this.writeObject(value);
      case 'undefined':
        return this.refuse('is undefined');
      default:
        return this.refuse(`is a ${typeof value}`);
    }
  }

  /** The value to write: the result of `toJSON`, or the content of a wrapper such as `new Number(1)`. */
  private resolve(given: unknown, key: string): unknown {
    if (typeof given !== 'object' || given === null) return given;
    return this.reading(() => {
      const { toJSON } = given as { toJSON?: unknown };
      const value: unknown = typeof toJSON === 'function' ? Reflect.apply(toJSON, given, [key]) : given;
      return types.isBoxedPrimitive(value) ? value.valueOf() : value;
    });
  }

  private writeObject(value: object): void {
    if (this.ancestors.has(value)) this.refuse('contains itself');
    if (this.ancestors.size >= this.limits.depth) this.refuse(`is nested more than ${this.limits.depth} deep`);
    if (isEmptyInJson(value)) this.refuse(`is a ${this.reading(() => nameOf(value))}, which JSON would show as empty`);
    this.ancestors.add(value);
    if (this.reading(() => Array.isArray(value))) this.writeArray(value as unknown[]);
    else this.writeFields(value);
    this.ancestors.delete(value);
  }

  private writeArray(value: readonly unknown[]): void {
    const length = this.reading(() => value.length);
    this.append('[');
    for (let index = 0; index < length; index++) {
      if (index > 0) this.append(',');
      this.path.push(index);
      const item = this.reading(() => value[index]);
      this.write(item, String(index));
      this.path.pop();
    }
    this.append(']');
  }

  private writeFields(value: object): void {
    this.append('{');
    let separator = '';
    for (const key of this.reading(() => Object.keys(value))) {
      this.path.push(key);
      const field = this.resolve(
        this.reading(() => (value as Record<string, unknown>)[key]),
        key,
      );
      if (field !== undefined) {
        this.append(separator);
        this.writeText(key);
        this.append(':');
        this.writeResolved(field);
        separator = ',';
      }
      this.path.pop();
    }
    this.append('}');
  }

  private writeText(text: string): void {
    if (text.length > this.limits.sizeBytes) throw this.tooLarge();
    if (!isExactText(text)) this.refuse('contains NUL or a lone surrogate');
    const written = JSON.stringify(text);
    this.append(written, Buffer.byteLength(written));
  }

  /** @param sizeBytes of a text that may have characters beyond ASCII */
  private append(text: string, sizeBytes = text.length): void {
    this.sizeBytes += sizeBytes;
    if (this.sizeBytes > this.limits.sizeBytes) throw this.tooLarge();
    this.text += text;
  }

  /** Runs code of the value: getters, proxies, `toJSON`. */
  private reading<Value>(read: () => Value): Value {
    try {
      return read();
    } catch (cause) {
      throw new NotJsonError([...this.path], 'cannot be read: it throws', { cause });
    }
  }

  private refuse(complaint: string): never {
    throw new NotJsonError([...this.path], complaint);
  }

  private tooLarge(): JsonTooLargeError {
    return new JsonTooLargeError(`the JSON has more than ${this.limits.sizeBytes} bytes`);
  }
}

/** Whether `JSON.stringify` would write `{}` in spite of its content. */
function isEmptyInJson(value: object): boolean {
  return (
    types.isMap(value) ||
    types.isSet(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isPromise(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isArrayBufferView(value)
  );
}

function nameOf(value: object): string {
  const tag = Object.prototype.toString.call(value);
  return tag.slice('[object '.length, -1);
}

/** Longer steps are cut: a field name may be as long as a payload. */
const MAXIMUM_STEP_LENGTH = 64;

/** Formats a path as `accounts[2].balance`; "the value" for an empty one. */
export function formatValuePath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += `${text === '' ? '' : '.'}${fitText(String(step), MAXIMUM_STEP_LENGTH)}`;
  }
  return text || 'the value';
}
