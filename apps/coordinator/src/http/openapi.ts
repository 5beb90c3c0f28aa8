import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { z } from 'zod';
import { COMPONENT_SCHEMAS } from './schemas.js';

/** The OpenAPI 3.1 document: routes from the controllers, schemas from the ones that validate. */
export function makeOpenApiDocument(app: NestFastifyApplication): OpenAPIObject {
  const builder = new DocumentBuilder()
    .setTitle('Concordat')
    .setDescription('Atomic commit across microservices. Errors are RFC 9457 problem details with a stable `code`.')
    .setVersion('1')
    .setOpenAPIVersion('3.1.0')
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

/** Serves `/openapi.json` and the pages under `/docs`. */
export function setUpDocumentation(app: NestFastifyApplication): void {
  SwaggerModule.setup('docs', app, () => makeOpenApiDocument(app), { jsonDocumentUrl: 'openapi.json' });
}
