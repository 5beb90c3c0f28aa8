import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** A page can run only what this node serves, and no other page can show it; swagger-ui styles its elements itself. */
const PAGE_HEADERS = {
  'content-security-policy':
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  // may be kept, but not used before the node has said that it is still the same
  'cache-control': 'no-cache',
} as const;

interface Page {
  readonly body: Buffer;
  readonly etag: string;
}

/**
 * Answers with what everybody may read and what stays the same while the node runs. It is made at the first request and
 * kept; who has it already is told so (304).
 */
export function page(
  type: string,
  make: () => string | Promise<Buffer>,
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
  let kept: Promise<Page> | undefined;
  const load = async (): Promise<Page> => {
    const body = Buffer.from(await make());
    return { body, etag: `"${createHash('sha256').update(body).digest('base64url')}"` };
  };
  return async ({ headers }, reply) => {
    kept ??= load();
    try {
      const { body, etag } = await kept;
      void reply.headers(PAGE_HEADERS).header('etag', etag);
      if (isKnown(headers['if-none-match'], etag)) return reply.code(304).send();
      return reply.type(`${type}; charset=utf-8`).send(body);
    } catch (error) {
      kept = undefined; // the next request may find the file
      throw error;
    }
  };
}

function isKnown(known: string | undefined, etag: string): boolean {
  const named = known?.split(',').map((name) => name.trim().replace(/^W\//, '')) ?? [];
  return named.includes(etag) || named.includes('*');
}
