import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';
import { makeOpenApiDocument } from './openapi-document.js';
import { page } from './page.js';

const PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Concordat REST interface</title><link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div><script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>
`;
const START_SCRIPT = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true });\n`;

/** Serves `/openapi.json` and the page under `/docs`. What they send is made on first use, and kept. */
export function setUpDocumentation(app: NestFastifyApplication): void {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  fastify.get(
    '/openapi.json',
    page('application/json', () => JSON.stringify(makeOpenApiDocument(app))),
  );
  const html = page('text/html', () => PAGE);
  fastify.get('/docs', html);
  fastify.get('/docs/', html);
  fastify.get(
    '/docs/start.js',
    page('text/javascript', () => START_SCRIPT),
  );
  for (const [file, type] of [
    ['swagger-ui.css', 'text/css'],
    ['swagger-ui-bundle.js', 'text/javascript'],
  ] as const) {
    fastify.get(
      `/docs/${file}`,
      page(type, () => readFile(userInterfaceFile(file))),
    );
  }
}

/** A file of swagger-ui, which comes with `@nestjs/swagger`. */
function userInterfaceFile(file: string): string {
  const swagger = createRequire(import.meta.url).resolve('@nestjs/swagger');
  return createRequire(swagger).resolve(`swagger-ui-dist/${file}`);
}
