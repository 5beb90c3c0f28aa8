import { ServerResponse, type IncomingMessage } from 'node:http';

/**
 * Of every answer, no matter which part makes it. With the certificate of a client there is no `Authorization`, by which a cache would
 * know that an answer is for one reader only (RFC 9111, section 3.5). Pages that everybody may keep say so themselves.
 */
export const ANSWER_HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
} as const;

/** Anything that takes headers before they are sent. */
interface Headed {
  setHeader(name: string, value: string): unknown;
}

/** Gives an answer the headers of all; what is set afterwards replaces them. */
export function setAnswerHeaders(answer: Headed): void {
  for (const [name, value] of Object.entries(ANSWER_HEADERS)) answer.setHeader(name, value);
}

/** An answer of HTTP/1.1 with the headers of all. */
export class Http1Response<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  constructor(...given: ConstructorParameters<typeof ServerResponse<Request>>) {
    super(...given);
    setAnswerHeaders(this);
  }
}
