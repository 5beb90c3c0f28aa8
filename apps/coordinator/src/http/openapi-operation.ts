import type { OpenAPIObject } from '@nestjs/swagger';
import { APPLIED_INDEX_HEADER } from './answers.js';
import type { CallDescription, QueryParameter } from './call.decorator.js';
import { INVITATION_HEADER, INVITATION_PATTERN } from './invitations.js';
import { problemDefinition, PROBLEMS, type ProblemCode } from './problems.js';
import { DEFAULT_WAIT_MS, LOCK_NAME_PATTERN, MAXIMUM_NODE_ID, MAXIMUM_WAIT_MS, type ComponentName } from './schemas.js';

/** What OpenAPI says about one method of one path. */
export type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;
type Parameters = NonNullable<Operation['parameters']>;
type Responses = Operation['responses'];
type Answer = Extract<Responses[string], { description: string }>;

/** The names of the security schemes. */
export const BEARER = 'bearer';
export const CERTIFICATE = 'certificate';
const ACCESS_STATUSES = [401, 403, 429];

const WAIT_QUERY: readonly QueryParameter[] = [
  { name: 'waitMs', schema: { type: 'integer', minimum: 0, maximum: MAXIMUM_WAIT_MS, default: DEFAULT_WAIT_MS } },
  { name: 'wait', schema: { type: 'string', enum: ['decided', 'reported', 'ended'], default: 'decided' } },
];

const CONSISTENCY_QUERY: readonly QueryParameter[] = [
  { name: 'consistency', schema: { type: 'string', enum: ['linearizable', 'stale'], default: 'linearizable' } },
];

const READING_HEADERS = {
  [APPLIED_INDEX_HEADER]: {
    description: 'index of the log up to which the answer is complete',
    schema: { type: 'integer', minimum: 0 },
  },
} as const;

export function operationOf(call: CallDescription): Operation {
  return {
    operationId: call.id,
    parameters: parametersOf(call),
    ...bodyOf(call),
    responses: responsesOf(call),
    ...(!call.open && { security: [{ [BEARER]: [] }, { [CERTIFICATE]: [] }] }),
    summary: call.summary,
    tags: [call.tag ?? 'transactions'],
  };
}

function reference(name: ComponentName): { $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}

function bodyOf({ body, hasOptionalBody }: CallDescription): Pick<Operation, 'requestBody'> {
  if (body === undefined) return {};
  const schema = typeof body === 'string' ? reference(body) : { oneOf: body.map(reference) };
  return { requestBody: { required: hasOptionalBody !== true, content: { 'application/json': { schema } } } };
}

function parametersOf(call: CallDescription): Parameters {
  const query = [...(call.wait ? WAIT_QUERY : []), ...(call.reading ? CONSISTENCY_QUERY : []), ...(call.query ?? [])];
  const parameters: Parameters = query.map(({ name, schema, required = false }) => ({
    name,
    required,
    in: 'query',
    schema,
  }));
  const inPath = { required: true, in: 'path' } as const;
  if (call.withId) parameters.push({ name: 'id', ...inPath, schema: { type: 'string', format: 'uuid' } });
  if (call.withNodeId) {
    parameters.push({ name: 'nodeId', ...inPath, schema: { type: 'integer', minimum: 1, maximum: MAXIMUM_NODE_ID } });
  }
  if (call.withLockName) {
    parameters.push({ name: 'name', ...inPath, schema: { type: 'string', pattern: LOCK_NAME_PATTERN } });
  }
  if (call.idempotent) {
    const schema = { type: 'string', pattern: '^[\\x21-\\x7e]{1,255}$' };
    parameters.push({ name: 'Idempotency-Key', in: 'header', required: false, schema });
  }
  if (call.invited) {
    const schema = { type: 'string', pattern: INVITATION_PATTERN } as const;
    parameters.push({ name: INVITATION_HEADER, in: 'header', required: false, schema });
  }
  return parameters;
}

function responsesOf({ answers, reading, open, problems = [] }: CallDescription): Responses {
  const responses: Responses = {};
  for (const [status, answer] of Object.entries(answers)) {
    responses[status] = { description: answer, ...(reading && { headers: READING_HEADERS }), ...contentOf(answer) };
  }
  for (const status of [...problems, ...(open ? [] : ACCESS_STATUSES), 500]) {
    const content = { 'application/problem+json': { schema: reference('Problem') } };
    responses[status] = { description: codesWith(status).join(', '), content };
  }
  return responses;
}

function contentOf(answer: CallDescription['answers'][number]): Pick<Answer, 'content'> {
  switch (answer) {
    case 'nothing':
      return {};
    case 'text':
      return { content: { 'text/plain': { schema: { type: 'string' } } } };
    case 'events':
      return { content: { 'text/event-stream': { schema: { type: 'string' } } } };
    default:
      return { content: { 'application/json': { schema: reference(answer) } } };
  }
}

function codesWith(status: number): ProblemCode[] {
  return (Object.keys(PROBLEMS) as ProblemCode[]).filter((code) => problemDefinition(code).status === status);
}
