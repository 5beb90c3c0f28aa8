import { appendFileSync, statSync } from 'node:fs';
import { errorMessage, faultOfMode, fitText, type JsonValue, type Logger } from '@concordat/foundation';
import { AuthenticationSetupError, type RefusalReason } from './errors.js';

/** Who did what, from where, and what the answer was. */
export interface AuditedCall {
  /** undefined without authentication */
  readonly principal: string | undefined;
  readonly roles: readonly string[];
  /** the route: `POST /v1/transactions/:id/resolve` */
  readonly call: string;
  /** path and query as sent */
  readonly url: string;
  /** address of the sender, or of the node that passed the request on */
  readonly address: string;
  /** id of the node that passed it on, as the request says */
  readonly forwardedBy: string | undefined;
  /** status of the answer; undefined: the sender went away before */
  readonly status: number | undefined;
  /** what was asked for, where the call is one of operators */
  readonly body?: JsonValue;
}

export interface RefusedCredential extends Pick<AuditedCall, 'call' | 'address' | 'forwardedBy'> {
  readonly reason: RefusalReason;
  readonly note: string | undefined;
}

export interface AuditLogOptions {
  /** undefined: only the log has the entries */
  readonly path: string | undefined;
  readonly logger: Logger;
  readonly now: () => number;
  readonly monotonic: () => number;
}

const FILE_MODE = 0o600;
const MAXIMUM_URL_LENGTH = 500;
const MAXIMUM_BODY_LENGTH = 4_096;
/** Refused credentials that are written each second; of further ones the next entry says how many there were. */
const REFUSALS_PER_SECOND = 10;

/**
 * The audit: one JSON line for each call of an operator and each refused credential, in a file of its own and in the
 * log. The file is opened anew for each line, so it can be moved away at any time.
 */
export class AuditLog {
  private refusalsSince = Number.NEGATIVE_INFINITY;
  private refusals = 0;
  private suppressed = 0;

  /** @throws AuthenticationSetupError when the file cannot be written, or others may read it */
  constructor(private readonly options: AuditLogOptions) {
    const { path } = options;
    if (path === undefined) return;
    let fault: string | undefined;
    try {
      appendFileSync(path, '', { mode: FILE_MODE });
      fault = faultOfMode(statSync(path), 'secret');
    } catch (cause) {
      throw new AuthenticationSetupError(`CONCORDAT_AUDIT_FILE: ${errorMessage(cause)}`, { cause });
    }
    if (fault !== undefined) throw new AuthenticationSetupError(`CONCORDAT_AUDIT_FILE: ${path} must be ${fault}`);
  }

  call({ body, url, ...entry }: AuditedCall): void {
    const { principal = 'nobody in particular', call, address, status = 'no answer' } = entry;
    const isSmall = body !== undefined && JSON.stringify(body).length <= MAXIMUM_BODY_LENGTH;
    const shownUrl = fitText(url, MAXIMUM_URL_LENGTH);
    this.write({ event: 'call', ...entry, url: shownUrl, ...(isSmall && { body }) });
    this.options.logger.info(`AUDIT ${principal}: ${call}, ${JSON.stringify(shownUrl)} from ${address}: ${status}`);
  }

  refused(entry: RefusedCredential): void {
    if (!this.mayWriteRefusal()) {
      this.suppressed++;
      return;
    }
    const { reason, note, call, address } = entry;
    const { suppressed } = this;
    this.suppressed = 0;
    this.write({ event: 'refused-credential', ...entry, ...(suppressed > 0 && { suppressed }) });
    const further = suppressed > 0 ? `; ${suppressed} more since the last such line` : '';
    const added = note === undefined ? '' : ` (${JSON.stringify(fitText(note, MAXIMUM_URL_LENGTH))})`;
    this.options.logger.warn(`AUDIT a credential from ${address} is refused at ${call}: ${reason}${added}${further}`);
  }

  private mayWriteRefusal(): boolean {
    const now = this.options.monotonic();
    if (now - this.refusalsSince >= 1_000) [this.refusalsSince, this.refusals] = [now, 0];
    return ++this.refusals <= REFUSALS_PER_SECOND;
  }

  private write(entry: Readonly<Record<string, unknown>>): void {
    const { path, logger, now } = this.options;
    if (path === undefined) return;
    try {
      appendFileSync(path, `${JSON.stringify({ at: new Date(now()).toISOString(), ...entry })}\n`, { mode: FILE_MODE });
    } catch (error) {
      logger.error(`the audit cannot be written: ${errorMessage(error)}`);
    }
  }
}
