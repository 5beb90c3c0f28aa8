import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';
import { makeOpenApiDocument } from './openapi-document.js';

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
