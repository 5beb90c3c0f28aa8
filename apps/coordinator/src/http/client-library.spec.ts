import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type {
  Branch,
  Cluster,
  HeldBranch,
  InDoubtBranch,
  LeaseRequest,
  ListedLock,
  Lock,
  LockProof,
  MemberChange,
  PreparedBranch,
  Resolution,
  RulingRequest,
  Transaction,
  TransactionOptions,
} from '@concordat/client';
import {
  branchShape,
  begunShape,
  clusterShape,
  inDoubtPageShape,
  isKnownCode,
  lockPageShape,
  lockShape,
  problemShape,
  resolutionShape,
  transactionPageShape,
  transactionShape,
  type ShapeData,
} from '@concordat/client/testing';
import type { OpenAPIObject } from '@nestjs/swagger';
import type { z } from 'zod';
import { PROBLEMS, problemDefinition, type ProblemCode } from './problems.js';
import type * as schemas from './schemas.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

/** What the client library expects of each answer, by the name of its schema in the OpenAPI document. */
const SHAPES: Readonly<Record<string, ShapeData>> = {
  BegunTransaction: begunShape,
  Branch: branchShape,
  Cluster: clusterShape,
  InDoubtList: inDoubtPageShape,
  Lock: lockShape,
  LockPage: lockPageShape,
  Problem: problemShape,
  Resolution: resolutionShape,
  Transaction: transactionShape,
  TransactionPage: transactionPageShape,
};

/** The schemas of answers that no client of transactions reads. */
const NOT_OF_THE_CLIENT = ['Failpoints', 'Live', 'Ready'];

/** The routes that the client library calls. */
const ROUTES = [
  'DELETE /v1/cluster/members/{nodeId}',
  'DELETE /v1/locks/{name}',
  'GET /v1/cluster',
  'GET /v1/events',
  'GET /v1/in-doubt',
  'GET /v1/locks',
  'GET /v1/transactions',
  'GET /v1/transactions/{id}',
  'GET /v1/transactions/{id}/events',
  'POST /v1/cluster/leader',
  'POST /v1/cluster/members',
  'POST /v1/locks/{name}/renew',
  'POST /v1/transactions',
  'POST /v1/transactions/execute',
  'POST /v1/transactions/{id}/abort',
  'POST /v1/transactions/{id}/branches',
  'POST /v1/transactions/{id}/commit',
  'POST /v1/transactions/{id}/resolve',
  'PUT /v1/locks/{name}',
];

type Output<Name extends keyof typeof schemas> = (typeof schemas)[Name] extends z.ZodType
  ? z.output<(typeof schemas)[Name]>
  : never;
type Input<Name extends keyof typeof schemas> = (typeof schemas)[Name] extends z.ZodType
  ? z.input<(typeof schemas)[Name]>
  : never;
/** Refused by the compiler where the first type does not fit the second. */
type Fits<A extends B, B> = A;

/** Compile-time: the client's types take every answer of the coordinator, and its requests fit the schemas. */
export type TypesOfTheClient = [
  Fits<Output<'transactionSchema'>, Transaction>,
  Fits<Output<'branchSchema'>, Branch>,
  Fits<Output<'inDoubtSchema'>['items'][number], InDoubtBranch>,
  Fits<Output<'resolutionSchema'>, Resolution>,
  Fits<Output<'clusterSchema'>, Cluster>,
  Fits<TransactionOptions, { readonly [Name in keyof Input<'beginSchema'>]?: unknown }>,
  Fits<PreparedBranch, Input<'preparedBranchSchema'>>,
  Fits<HeldBranch, Input<'heldBranchSchema'>>,
  Fits<RulingRequest, Input<'resolveSchema'>>,
  Fits<MemberChange, Input<'memberSchema'>>,
  Fits<Output<'lockSchema'>, Lock>,
  Fits<Output<'lockPageSchema'>['items'][number], ListedLock>,
  Fits<LeaseRequest, Input<'acquireLockSchema'>>,
  Fits<LeaseRequest & LockProof, Input<'renewLockSchema'>>,
];

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: unknown;
}

/** A schema of the document in the words of the client's shapes. */
function shapeOf(schema: JsonSchema): unknown {
  const { type, anyOf, items, properties } = schema;
  if (Array.isArray(type)) return { kind: 'nullable', of: shapeOf({ ...schema, type: (type as string[])[0]! }) };
  if (anyOf !== undefined) {
    const [of, nothing] = anyOf;
    if (anyOf.length !== 2 || nothing?.type !== 'null') throw new Error('only "or null" is expected');
    return { kind: 'nullable', of: shapeOf(of!) };
  }
  if (schema.enum !== undefined) return { kind: 'values', values: schema.enum };
  if (type === 'array') return { kind: 'list', of: shapeOf(items ?? {}) };
  if (type === 'object' && properties === undefined) return { kind: 'record', of: { kind: 'json' } };
  if (type === 'object') {
    const fields = Object.entries(properties!).map(([name, child]) => {
      const of = shapeOf(child);
      return [name, schema.required?.includes(name) || isAnything(child, name) ? of : { kind: 'optional', of }];
    });
    return { kind: 'object', fields: Object.fromEntries(fields) as unknown };
  }
  if (type === 'string') return { kind: schema.format === 'date-time' ? 'time' : isUuid(schema) ? 'uuid' : 'text' };
  return { kind: type ?? 'json' };
}

/** JSON Schema cannot say that a value of any kind must be there. */
function isAnything(schema: JsonSchema, name: string): boolean {
  return schema.type === undefined && schema.anyOf === undefined && schema.enum === undefined && name === 'payload';
}

function isUuid({ pattern }: JsonSchema): boolean {
  return pattern?.startsWith('^[0-9a-f]{8}-') === true;
}

/** Without what only the client says: that values may become more. */
function closed(shape: ShapeData): unknown {
  switch (shape.kind) {
    case 'values':
      return { kind: 'values', values: shape.values };
    case 'nullable':
    case 'optional':
    case 'list':
    case 'record':
      return { kind: shape.kind, of: closed(shape.of) };
    case 'object': {
      const fields = Object.entries(shape.fields).map(([name, child]) => [name, closed(child)]);
      return { kind: 'object', fields: Object.fromEntries(fields) as unknown };
    }
    default:
      return { kind: shape.kind };
  }
}

describe('the client library', () => {
  let node: TestNode;
  let document: OpenAPIObject;
  beforeAll(async () => {
    node = await createTestNode();
    document = (await node.app.inject({ method: 'GET', url: '/openapi.json' })).json();
  });
  afterAll(() => node.app.close());

  it.each(Object.entries(SHAPES))('expects of %s what the OpenAPI document says', (name, shape) => {
    expect(closed(shape)).toEqual(shapeOf(document.components!.schemas![name] as JsonSchema));
  });

  it('knows every schema of an answer', () => {
    const answered = new Set(
      [
        ...JSON.stringify(document.paths).matchAll(
          /"application\/(?:problem\+)?json":\{"schema":\{"\$ref":"[^"]*?(\w+)"/g,
        ),
      ]
        .map(([, name]) => name!)
        .filter((name) => !NOT_OF_THE_CLIENT.includes(name)),
    );
    const requests = [
      'AcquireLock',
      'Begin',
      'Commit',
      'End',
      'Execute',
      'RenewLock',
      'Resolve',
      'SetLeader',
      'SetMember',
    ];
    expect([...answered].sort()).toEqual([...Object.keys(SHAPES), ...requests].sort());
  });

  it('calls every route', () => {
    const routes = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(routes.filter((route) => route.includes('/v1/')).sort()).toEqual(ROUTES);
  });

  it.each(Object.keys(PROBLEMS) as ProblemCode[])('has an error class for %s', (code) => {
    expect(isKnownCode(code, problemDefinition(code).status)).toBe(true);
  });
});
