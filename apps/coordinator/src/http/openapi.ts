import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { BEARER } from './openapi.decorators.js';
import { COMPONENT_SCHEMAS } from './schemas.js';

/** The OpenAPI 3.1 document: routes from the controllers, and the schemas that validate requests. */
export function makeOpenApiDocument(app: NestFastifyApplication): OpenAPIObject {
  const builder = new DocumentBuilder()
    .setTitle('Concordat')
    .setDescription('Atomic commit across microservices. Errors are RFC 9457 problem details with a stable `code`.')
    .setVersion('1')
    .setOpenAPIVersion('3.1.0')
    .addSecurity(BEARER, {
      type: 'http',
      scheme: 'bearer',
      description: 'a JWT or an API token, where nodes ask for it',
    })
    .setLicense('Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0');
  const document = SwaggerModule.createDocument(app, builder.build());
  document.components = { ...document.components, schemas: componentSchemas() };
  return document;
}

type Schemas = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>;

function componentSchemas(): Schemas {
  const schemas: Schemas = {};
  for (const [name, schema] of Object.entries(COMPONENT_SCHEMAS)) {
    const { $schema: _dialect, ...json } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
    schemas[name] = json as Schemas[string];
  }
  return schemas;
}

const PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Concordat REST interface</title><link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div><script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>
`;
const START_SCRIPT = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true });\n`;

/** A page can run only what this node serves, and no other page can show it; swagger-ui styles its elements itself. */
const PAGE_HEADERS = {
  'content-security-policy':
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
} as const;

/** Serves `/openapi.json` and the page under `/docs`. Both are made on first use. */
export function setUpDocumentation(app: NestFastifyApplication): void {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  let document: string | undefined;
  fastify.get('/openapi.json', (_request, reply) => {
    document ??= JSON.stringify(makeOpenApiDocument(app));
    return reply.type('application/json; charset=utf-8').send(document);
  });
  for (const path of ['/docs', '/docs/']) {
    fastify.get(path, (_request, reply) => reply.headers(PAGE_HEADERS).type('text/html; charset=utf-8').send(PAGE));
  }
  fastify.get('/docs/start.js', (_request, reply) =>
    reply.headers(PAGE_HEADERS).type('text/javascript; charset=utf-8').send(START_SCRIPT),
  );
  for (const [file, type] of [
    ['swagger-ui.css', 'text/css'],
    ['swagger-ui-bundle.js', 'text/javascript'],
  ] as const) {
    fastify.get(`/docs/${file}`, async (_request, reply) =>
      reply
        .headers(PAGE_HEADERS)
        .type(`${type}; charset=utf-8`)
        .send(await readFile(userInterfaceFile(file))),
    );
  }
}

/** A file of swagger-ui, which comes with `@nestjs/swagger`. */
function userInterfaceFile(file: string): string {
  const swagger = createRequire(import.meta.url).resolve('@nestjs/swagger');
  return createRequire(swagger).resolve(`swagger-ui-dist/${file}`);
}
