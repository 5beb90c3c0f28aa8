import { applyDecorators } from '@nestjs/common';
import {
  ApiBody,
  ApiHeader,
  ApiOperation,
  ApiParam,
  ApiQuery,
  ApiResponse,
  ApiSecurity,
  ApiTags,
} from '@nestjs/swagger';
import { problemDefinition, PROBLEMS, type ProblemCode } from './problems.js';
import { APPLIED_INDEX_HEADER } from './answers.js';
import { DEFAULT_WAIT_MS, LOCK_NAME_PATTERN, MAXIMUM_NODE_ID, MAXIMUM_WAIT_MS, type ComponentName } from './schemas.js';

export interface ParameterSchema {
  readonly type: 'string' | 'integer';
  readonly enum?: string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: string | number;
}

export interface QueryParameter {
  readonly name: string;
  readonly schema: ParameterSchema;
  readonly required?: boolean;
}

export interface CallDescription {
  readonly id: string;
  readonly summary: string;
  readonly tag?: string;
  /** the path has a transaction id */
  readonly withId?: boolean;
  readonly body?: ComponentName | readonly ComponentName[];
  /** the body may be left out */
  readonly hasOptionalBody?: true;
  readonly idempotent?: boolean;
  readonly wait?: boolean;
  /** a read: takes `consistency`, answers with the applied index in a header */
  readonly reading?: boolean;
  /** the path has a node id */
  readonly withNodeId?: boolean;
  /** the path has the name of a lock */
  readonly withLockName?: boolean;
  readonly query?: readonly QueryParameter[];
  /** schema of the body by status; `text` and `events` are not JSON; `nothing`: there is none */
  readonly answers: Readonly<Record<number, ComponentName | 'text' | 'events' | 'nothing'>>;
  /** statuses answered with a problem; 500 is always included, and those of access where it is not open */
  readonly problems?: readonly number[];
  /** nobody is asked who it is, also with authentication */
  readonly open?: boolean;
}

/** The name of the security scheme. */
export const BEARER = 'bearer';
const ACCESS_STATUSES = [401, 403, 429];

const WAIT_QUERY: NonNullable<CallDescription['query']> = [
  { name: 'waitMs', schema: { type: 'integer', minimum: 0, maximum: MAXIMUM_WAIT_MS, default: DEFAULT_WAIT_MS } },
  { name: 'wait', schema: { type: 'string', enum: ['decided', 'reported', 'ended'], default: 'decided' } },
];

const CONSISTENCY_QUERY: NonNullable<CallDescription['query']> = [
  { name: 'consistency', schema: { type: 'string', enum: ['linearizable', 'stale'], default: 'linearizable' } },
];

const READING_HEADERS = {
  [APPLIED_INDEX_HEADER]: {
    description: 'index of the log up to which the answer is complete',
    schema: { type: 'integer', minimum: 0 },
  },
} as const;

/** Describes a route for OpenAPI. Does not affect how requests are handled. */
export function Call(call: CallDescription): MethodDecorator & ClassDecorator {
  const decorators = [
    ApiTags(call.tag ?? 'transactions'),
    ApiOperation({ operationId: call.id, summary: call.summary }),
    ...(call.open ? [] : [ApiSecurity(BEARER)]),
    ...bodyOf(call),
    ...parametersOf(call),
    ...answersOf(call),
  ];
  return applyDecorators(...decorators);
}

function reference(name: ComponentName): { $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}

function bodyOf({ body, hasOptionalBody }: CallDescription): MethodDecorator[] {
  if (body === undefined) return [];
  const schema = typeof body === 'string' ? reference(body) : { oneOf: body.map(reference) };
  return [ApiBody({ schema, required: hasOptionalBody !== true })];
}

function parametersOf(call: CallDescription): MethodDecorator[] {
  const query = [...(call.wait ? WAIT_QUERY : []), ...(call.reading ? CONSISTENCY_QUERY : []), ...(call.query ?? [])];
  const decorators: MethodDecorator[] = query.map(({ name, schema, required = false }) =>
    ApiQuery({ name, required, schema: { ...schema } }),
  );
  if (call.withId) decorators.push(ApiParam({ name: 'id', schema: { type: 'string', format: 'uuid' } }));
  if (call.withNodeId) {
    const schema = { type: 'integer', minimum: 1, maximum: MAXIMUM_NODE_ID } as const;
    decorators.push(ApiParam({ name: 'nodeId', schema }));
  }
  if (call.withLockName) {
    decorators.push(ApiParam({ name: 'name', schema: { type: 'string', pattern: LOCK_NAME_PATTERN } }));
  }
  if (call.idempotent) {
    const schema = { type: 'string', pattern: '^[\\x21-\\x7e]{1,255}$' } as const;
    decorators.push(ApiHeader({ name: 'Idempotency-Key', required: false, schema }));
  }
  return decorators;
}

function answersOf({ answers, reading, open, problems = [] }: CallDescription): MethodDecorator[] {
  const decorators: MethodDecorator[] = Object.entries(answers).map(([status, answer]) => {
    const base = { status: Number(status), description: answer, ...(reading && { headers: READING_HEADERS }) };
    if (answer === 'nothing') return ApiResponse(base);
    if (answer === 'text') return ApiResponse({ ...base, content: { 'text/plain': { schema: { type: 'string' } } } });
    if (answer === 'events') {
      return ApiResponse({ ...base, content: { 'text/event-stream': { schema: { type: 'string' } } } });
    }
    return ApiResponse({ ...base, content: { 'application/json': { schema: reference(answer) } } });
  });
  for (const status of [...problems, ...(open ? [] : ACCESS_STATUSES), 500]) {
    decorators.push(
      ApiResponse({
        status,
        description: codesWith(status).join(', '),
        content: { 'application/problem+json': { schema: reference('Problem') } },
      }),
    );
  }
  return decorators;
}

function codesWith(status: number): ProblemCode[] {
  return (Object.keys(PROBLEMS) as ProblemCode[]).filter((code) => problemDefinition(code).status === status);
}
