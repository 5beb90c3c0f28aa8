import { constants } from 'node:http2';
import type { ClientExchange } from '@concordat/foundation';
import type { Http2Request } from './http2-request.js';
import type { Http2Response } from './http2-response.js';
import { answerWith } from './http2-sessions.js';
import { makeProblem } from './problems.js';

export interface Http2ExchangeLimits {
  /** from the headers to the end of the request */
  readonly requestTimeoutMs: number;
  /** a client that takes nothing of its answer for this long is cut off */
  readonly unreadTimeoutMs: number;
}

/**
 * The time limits of one request of HTTP/2 and of its answer, which Node.js has for HTTP/1.1 only. Its stream ends, and
 * the others of the session go on.
 */
export class Http2Exchange implements ClientExchange {
  private readonly startedAt = performance.now();
  private takenBytes = 0;
  private takenAt = this.startedAt;

  constructor(
    private readonly request: Http2Request,
    private readonly response: Http2Response,
    private readonly limits: Http2ExchangeLimits,
  ) {}

  get isOver(): boolean {
    return this.response.stream.destroyed;
  }

  get bytes(): number {
    const { request, response } = this;
    return response.headersSent ? response.unreadBytes : request.complete ? 0 : request.receivedBytes;
  }

  check(): void {
    const { request, response, limits, startedAt } = this;
    const now = performance.now();
    if (response.headersSent) return this.checkReading(now);
    if (request.complete || now - startedAt <= limits.requestTimeoutMs) return;
    answerWith(response, makeProblem('REQUEST_TIMEOUT', 'the request did not arrive whole in time', '/'));
  }

  cutOff(): void {
    this.response.stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  private checkReading(now: number): void {
    const { unreadBytes, takenBytes } = this.response;
    if (unreadBytes === 0 || takenBytes !== this.takenBytes) {
      this.takenBytes = takenBytes;
      this.takenAt = now;
    } else if (now - this.takenAt > this.limits.unreadTimeoutMs) {
      this.cutOff();
    }
  }
}
