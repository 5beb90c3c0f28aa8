import { parseAddress, type Address } from './address.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The valid values of a kind, and their parser. */
export interface ValueKind<Value> {
  /** of a correct value, as the end of a sentence: "a whole number from 1 to 9" */
  readonly expected: string;
  /** @returns undefined for invalid text */
  readonly parse: (text: string) => Value | undefined;
}

export interface Variable<Value> extends ValueKind<Value> {
  /** text used when the variable is not set; undefined: it must be set; null: the program does without */
  readonly default: string | undefined | null;
  /** messages must not contain its value */
  readonly isSecret?: boolean;
}

export interface VariableProblem {
  readonly variable: string;
  /** undefined when the variable is not set */
  readonly value: string | undefined;
  readonly expected: string;
}

export type VariableValues<Variables> = {
  [Name in keyof Variables]: Variables[Name] extends Variable<infer Value> ? Value : never;
};

/** Reads variables. Reports all problems at once; an empty variable counts as not set. */
export function readVariables<Variables extends Readonly<Record<string, Variable<unknown>>>>(
  variables: Variables,
  environment: Environment,
): { readonly values: Partial<VariableValues<Variables>>; readonly problems: VariableProblem[] } {
  const values: Partial<Record<string, unknown>> = {};
  const problems: VariableProblem[] = [];
  for (const [name, { default: fallback, expected, parse, isSecret }] of Object.entries(variables)) {
    const given = environment[name]?.trim() ? environment[name] : undefined;
    const text = given ?? fallback;
    if (text === null) continue;
    const value = text === undefined ? undefined : parse(text.trim());
    if (value !== undefined) values[name] = value;
    else problems.push({ variable: name, value: isSecret && given ? '***' : given, expected });
  }
  return { values: values as Partial<VariableValues<Variables>>, problems };
}

export function formatProblems(problems: readonly VariableProblem[]): string {
  return problems
    .map(({ variable, value, expected }) =>
      value === undefined
        ? `${variable} is not set; it must be ${expected}`
        : `${variable}="${value}" is wrong; it must be ${expected}`,
    )
    .join('\n');
}

export function wholeNumber(minimum: number, maximum: number): ValueKind<number> {
  return {
    expected: `a whole number from ${minimum.toLocaleString('en')} to ${maximum.toLocaleString('en')}`,
    parse: (text) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
      return value >= minimum && value <= maximum ? value : undefined;
    },
  };
}

export function oneOf<Value extends string>(values: readonly Value[]): ValueKind<Value> {
  return {
    expected: `one of ${values.join(', ')}`,
    parse: (text) => values.find((value) => value === text),
  };
}

/** An address to listen on. */
export const LISTENING_ADDRESS: ValueKind<Address> = {
  expected: 'host:port, such as 127.0.0.1:8081',
  parse: parseAddress,
};

/** As text, as client libraries take it. */
export const ADDRESS_LIST: ValueKind<string[]> = {
  expected: 'host:port, several separated by commas',
  parse: (text) => {
    const addresses = text.split(',').map((address) => address.trim());
    return addresses.every((address) => parseAddress(address)) ? addresses : undefined;
  },
};

export function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const child of Object.values(value)) deepFreeze(child);
  return Object.freeze(value);
}
