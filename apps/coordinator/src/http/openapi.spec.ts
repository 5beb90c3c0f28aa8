import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { OpenAPIObject } from '@nestjs/swagger';
import { CALL_RULES } from '../auth/call-rules.js';
import { createTestNode, type TestNode } from './testing/test-node.js';
import { clusterSchema } from './schemas.js';

let node: TestNode;
let document: OpenAPIObject;
beforeAll(async () => {
  node = await createTestNode();
  document = (await node.app.inject({ method: 'GET', url: '/openapi.json' })).json();
});
afterAll(() => node.app.close());

/** Every `$ref` anywhere in a value. */
function references(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) =>
    key === '$ref' && typeof child === 'string' ? [child] : references(child),
  );
}

describe('the OpenAPI document', () => {
  it('has every route of the contract and no other', () => {
    const routes = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(routes.sort()).toEqual([
      'DELETE /v1/cluster/members/{nodeId}',
      'DELETE /v1/locks/{name}',
      'GET /healthz',
      'GET /metrics',
      'GET /readyz',
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
    ]);
  });

  it('is of version 3.1, and every reference leads somewhere', () => {
    expect(document.openapi).toBe('3.1.0');
    const names = Object.keys(document.components?.schemas ?? {});
    const missing = references(document).filter(
      (target) => !names.includes(target.replace('#/components/schemas/', '')),
    );
    expect(missing).toEqual([]);
    expect(names).toContain('Transaction');
  });

  it('gives every operation an id of its own, a summary, and its path parameters', () => {
    const operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.values(
        item as Record<string, { operationId: string; summary: string; parameters?: { name: string; in: string }[] }>,
      ).map((operation) => ({ path, operation })),
    );
    expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(operations.length);
    for (const { path, operation } of operations) {
      expect(operation.summary).not.toBe('');
      const inPath = (operation.parameters ?? [])
        .filter((parameter) => parameter.in === 'path')
        .map(({ name }) => name);
      expect(inPath.map((name) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
    }
  });

  it('says what a body is, and that unknown fields are refused', () => {
    const execute = document.components?.schemas?.['Execute'];
    expect(execute).toMatchObject({ type: 'object', additionalProperties: false, required: ['branches'] });
    expect(document.paths['/v1/transactions/execute']?.post?.requestBody).toMatchObject({
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Execute' } } },
    });
  });

  it('says which calls ask who is there, and what they answer then', () => {
    expect(document.components?.securitySchemes).toMatchObject({
      bearer: { type: 'http', scheme: 'bearer' },
      certificate: { type: 'mutualTLS' },
    });
    for (const [call, { roles }] of Object.entries(CALL_RULES)) {
      const [method, route] = call.toLowerCase().split(' ') as ['get', string];
      const pattern = route.replace(/:(\w+)/g, (_match, name: string) => `{${name === 'nodeid' ? 'nodeId' : name}}`);
      const operation = document.paths[pattern]?.[method];
      if (!operation) continue; // of the documentation, or for tests only
      const isAsking = roles !== 'everyone';
      // one of them is enough
      const security = isAsking ? [{ bearer: [] }, { certificate: [] }] : undefined;
      expect([call, operation.security]).toEqual([call, security]);
      expect([call, '401' in (operation.responses ?? {})]).toEqual([call, isAsking]);
    }
  });

  it('describes what is answered', () => {
    for (const path of ['/v1/transactions', '/v1/transactions/{id}', '/v1/in-doubt']) {
      const { parameters, responses: answers } = document.paths[path]?.get ?? {};
      expect(parameters).toContainEqual(expect.objectContaining({ name: 'consistency', in: 'query' }));
      expect(answers?.['200']).toMatchObject({ headers: { 'Concordat-Applied-Index': {} } });
    }
    expect(clusterSchema.parse(node.cluster.view())).toEqual(node.cluster.view());
    const { responses } = document.paths['/v1/transactions/{id}/commit']?.post ?? {};
    expect(Object.keys(responses ?? {})).toEqual(expect.arrayContaining(['200', '202', '409', '503']));
  });
});

describe('the documentation page', () => {
  it.each([
    ['/docs', 'text/html'],
    ['/docs/', 'text/html'],
    ['/docs/start.js', 'text/javascript'],
    ['/docs/swagger-ui.css', 'text/css'],
    ['/docs/swagger-ui-bundle.js', 'text/javascript'],
  ])('serves %s', async (url, type) => {
    const answer = await node.app.inject({ method: 'GET', url });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toContain(type);
    expect(answer.body.length).toBeGreaterThan(20);
    const policy = String(answer.headers['content-security-policy']).split('; ');
    expect(policy).toEqual(
      expect.arrayContaining(["default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"]),
    );
    expect(policy.filter((rule) => rule.startsWith('script-src'))).toEqual([]); // those of the node only
    expect(answer.headers['referrer-policy']).toBe('no-referrer');
  });
});
