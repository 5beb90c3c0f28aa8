import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { MetadataScanner, ModulesContainer, Reflector } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { OpenAPIObject } from '@nestjs/swagger';
import { z } from 'zod';
import { Call, type CallDescription } from './call.decorator.js';
import { BEARER, CERTIFICATE, operationOf, type Operation } from './openapi-operation.js';
import { COMPONENT_SCHEMAS } from './schemas.js';

/** The OpenAPI 3.1 document: routes from the controllers, and the schemas that validate requests. */
export function makeOpenApiDocument(app: NestFastifyApplication): OpenAPIObject {
  const bearer = {
    type: 'http',
    scheme: 'bearer',
    description: 'a JWT or an API token, where nodes ask for it',
  } as const;
  // of OpenAPI 3.1, which the types do not know yet
  const certificate = {
    type: 'mutualTLS',
    description: 'the certificate of a client, where nodes have CONCORDAT_HTTP_TLS_CA',
  } as unknown as SecurityScheme;
  return {
    openapi: '3.1.0',
    paths: pathsOf(app),
    info: {
      title: 'Concordat',
      description: 'Atomic commit across microservices. Errors are RFC 9457 problem details with a stable `code`.',
      version: '1',
      contact: {},
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    tags: [],
    servers: [],
    components: { securitySchemes: { [BEARER]: bearer, [CERTIFICATE]: certificate }, schemas: componentSchemas() },
  };
}

function pathsOf(app: NestFastifyApplication): OpenAPIObject['paths'] {
  const paths: Record<string, Record<string, Operation>> = {};
  for (const { path, method, operation } of routesOf(app)) paths[path] = { ...paths[path], [method]: operation };
  return paths;
}

interface Route {
  /** parameters in braces */
  readonly path: string;
  /** in small letters */
  readonly method: string;
  readonly operation: Operation;
}

function routesOf(app: NestFastifyApplication): Route[] {
  const modules = [...app.get(ModulesContainer).values()];
  return modules.flatMap(({ controllers }) => [...controllers.values()].flatMap(({ metatype }) => routesIn(metatype!)));
}

function routesIn(controller: Function): Route[] {
  const reflector = new Reflector();
  const base = reflector.get<string>(PATH_METADATA, controller);
  const prototype = controller.prototype as Readonly<Record<string, Function>>;
  return new MetadataScanner().getAllMethodNames(prototype).flatMap((name) => {
    const handler = prototype[name]!;
    const method = reflector.get<RequestMethod | undefined>(METHOD_METADATA, handler);
    if (method === undefined) return [];
    const call: CallDescription = reflector.get(Call, handler);
    return {
      path: pathOf(base, reflector.get<string>(PATH_METADATA, handler)),
      method: RequestMethod[method].toLowerCase(),
      operation: operationOf(call),
    };
  });
}

function pathOf(...parts: readonly string[]): string {
  const segments = parts.flatMap((part) => part.split('/')).filter((segment) => segment !== '');
  return `/${segments.map((segment) => segment.replace(/^:(.*)$/, '{$1}')).join('/')}`;
}

type SecurityScheme = NonNullable<NonNullable<OpenAPIObject['components']>['securitySchemes']>[string];
type Schemas = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>;

function componentSchemas(): Schemas {
  const schemas: Schemas = {};
  for (const [name, schema] of Object.entries(COMPONENT_SCHEMAS)) {
    const { $schema: _dialect, ...json } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
    schemas[name] = json as Schemas[string];
  }
  return schemas;
}
