import type { JsonValue } from '../model/json.js';
import type { SchemaInput, SchemaOutput, StandardSchema } from './standard-schema.js';

declare const TYPES: unique symbol;

/** The types of an operation, on both of its sides. They exist at compile time only. */
export interface OperationTypes {
  /** what the client gives */
  readonly payload: unknown;
  /** what the handler gets: the payload as its schema has parsed it */
  readonly parsedPayload: unknown;
  /** what the handler returns */
  readonly returned: unknown;
  /** what the client gets: the result as its schema has parsed it */
  readonly result: unknown;
}

export interface OperationSettings {
  /** checks and parses payloads: at the client before they are sent, at the participant before the handler runs */
  readonly payload?: StandardSchema | undefined;
  /** checks and parses results, at the client */
  readonly result?: StandardSchema | undefined;
}

/** An operation before it has a participant and a name. Made by `operation`, given to `defineParticipant`. */
export interface OperationDefinition<Types extends OperationTypes = OperationTypes> {
  readonly settings: OperationSettings;
  readonly [TYPES]?: Types;
}

/** The types of an operation that only TypeScript checks. */
export interface UncheckedTypes<Payload, Result> extends OperationTypes {
  readonly payload: Payload;
  readonly parsedPayload: Payload;
  readonly returned: Result;
  readonly result: Result;
}

/** The types of an operation with schemas. */
export interface SchemaTypes<
  PayloadSchema extends StandardSchema,
  ResultSchema extends StandardSchema,
> extends OperationTypes {
  readonly payload: SchemaInput<PayloadSchema>;
  readonly parsedPayload: SchemaOutput<PayloadSchema>;
  readonly returned: SchemaInput<ResultSchema>;
  readonly result: SchemaOutput<ResultSchema>;
}

/**
 * Defines an operation by its types alone, `operation<Payload, Result>()`, or by schemas that are checked at run time
 * too, `operation({ payload, result })`. Without a schema for the result it is any JSON, or undefined.
 */
export function operation<Payload = undefined, Result = undefined>(): OperationDefinition<
  UncheckedTypes<Payload, Result>
>;
export function operation<
  PayloadSchema extends StandardSchema,
  ResultSchema extends StandardSchema = StandardSchema<JsonValue | undefined>,
>(schemas: {
  readonly payload: PayloadSchema;
  readonly result?: ResultSchema;
}): OperationDefinition<SchemaTypes<PayloadSchema, ResultSchema>>;
export function operation(settings: OperationSettings = {}): OperationDefinition {
  return { settings };
}

/** Work for a participant: `payload` must be JSON. */
export interface OperationWork {
  readonly participant: string;
  readonly operation: string;
  readonly payload: unknown;
  /** keys that the operation will lock, in the name space of its participant */
  readonly keys?: readonly string[] | undefined;
}

/** Work for a participant, made by its contract. */
export interface ContractedWork<Types extends OperationTypes = OperationTypes> extends OperationWork {
  readonly payload: Types['payload'];
  readonly contract: OperationContract<Types>;
}

export interface WorkOptions {
  /** keys that the operation will lock, in the name space of its participant */
  readonly keys?: readonly string[];
}

/** An operation of a participant: the client calls it to make work, the participant handles what it names. */
export interface OperationContract<Types extends OperationTypes = OperationTypes> {
  (payload: Types['payload'], options?: WorkOptions): ContractedWork<Types>;
  readonly participant: string;
  readonly operation: string;
  readonly settings: OperationSettings;
  readonly [TYPES]?: Types;
}

type TypesOf<Definition> = Definition extends OperationDefinition<infer Types> ? Types : never;

/** The operations of a participant, by name. */
export type ParticipantContract<Definitions extends Readonly<Record<string, OperationDefinition>>> = {
  readonly [Name in keyof Definitions]: OperationContract<TypesOf<Definitions[Name]>>;
};

/**
 * The operations of a participant, defined once for both sides:
 *
 *     const bankA = defineParticipant('bank-a', {
 *       debit: operation<{ account: string; amount: number }, { balance: number }>(),
 *     });
 *
 * A client sends `bankA.debit({ account, amount })`; the participant handles it with
 * `@TransactionOperation(bankA.debit)`.
 *
 * @param participant its name, as it announces itself
 */
export function defineParticipant<const Definitions extends Readonly<Record<string, OperationDefinition>>>(
  participant: string,
  definitions: Definitions,
): ParticipantContract<Definitions> {
  const contracts = Object.entries(definitions).map(([name, { settings }]) => {
    return [name, makeContract(participant, name, settings)] as const;
  });
  const byName: unknown = Object.freeze(Object.fromEntries(contracts));
  return byName as ParticipantContract<Definitions>;
}

function makeContract(participant: string, name: string, settings: OperationSettings): OperationContract {
  const make = (payload: unknown, { keys }: WorkOptions = {}): ContractedWork => {
    return { participant, operation: name, payload, contract, ...(keys !== undefined && { keys }) };
  };
  const contract: OperationContract = Object.freeze(Object.assign(make, { participant, operation: name, settings }));
  return contract;
}

/** Whether a value was made by `defineParticipant`, perhaps by another copy of this package. */
export function isOperationContract(value: unknown): value is OperationContract {
  return typeof value === 'function' && 'participant' in value && 'operation' in value && 'settings' in value;
}

/** The result of one piece of work: as its contract says, otherwise any JSON. */
export type ResultOf<Work> = Work extends { readonly contract: OperationContract<infer Types> }
  ? Types['result']
  : JsonValue | undefined;

/** The results of several pieces of work, each in the place of its own. */
export type ResultsOf<Works extends readonly OperationWork[]> = {
  readonly [Place in keyof Works]: ResultOf<Works[Place]>;
};
