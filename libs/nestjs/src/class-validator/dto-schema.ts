import { plainToInstance, type ClassTransformOptions } from 'class-transformer';
import { validate, type ValidationError, type ValidatorOptions } from 'class-validator';
import type { SchemaIssue, StandardSchema } from '@concordat/client';

export interface DtoSchemaOptions {
  /** default: properties without a decorator are refused, as unknown fields are everywhere else */
  readonly validator?: ValidatorOptions;
  readonly transform?: ClassTransformOptions;
}

const STRICT: ValidatorOptions = { whitelist: true, forbidNonWhitelisted: true, forbidUnknownValues: true };

/**
 * A DTO with decorators of class-validator as a Standard Schema, for `@TransactionOperation(name, { schema })` and for
 * contracts: `operation({ payload: dtoSchema(DebitDto) })`. The handler gets an instance of the class; clients give its
 * properties.
 */
export function dtoSchema<Dto extends object>(
  type: new () => Dto,
  { validator, transform }: DtoSchemaOptions = {},
): StandardSchema<PropertiesOf<Dto>, Dto> {
  return {
    '~standard': {
      version: 1,
      vendor: 'class-validator',
      validate: async (value) => {
        if (typeof value !== 'object' || value === null || Array.isArray(value)) {
          return { issues: [{ message: `must be an object with the properties of ${type.name}` }] };
        }
        const instance = plainToInstance(type, value, transform);
        const errors = await validate(instance, { ...STRICT, ...validator });
        return errors.length === 0 ? { value: instance } : { issues: errors.flatMap((error) => issuesOf(error, [])) };
      },
    },
  };
}

/** What a client gives: the DTO without its methods, and so for the DTOs in it. */
export type PropertiesOf<Dto> = Dto extends readonly (infer Item)[]
  ? readonly PropertiesOf<Item>[]
  : Dto extends object
    ? {
        [Name in keyof Dto as Dto[Name] extends (...parameters: never[]) => unknown ? never : Name]: PropertiesOf<
          Dto[Name]
        >;
      }
    : Dto;

function issuesOf({ property, constraints, children = [] }: ValidationError, outer: readonly string[]): SchemaIssue[] {
  const path = [...outer, property];
  const own = Object.values(constraints ?? {}).map((message): SchemaIssue => ({ message, path }));
  return [...own, ...children.flatMap((child) => issuesOf(child, path))];
}
