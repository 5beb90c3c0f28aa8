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
  /** address from which that node had it, as the request says */
  readonly forwardedFor: string | undefined;
  /** status of the answer; undefined: its sender has got none */
  readonly status: number | undefined;
  /** what was asked for, where the call is one of operators */
  readonly body?: JsonValue;
}

export interface RefusedCredential extends Pick<AuditedCall, 'call' | 'address' | 'forwardedBy' | 'forwardedFor'> {
  readonly reason: RefusalReason;
  readonly note: string | undefined;
}

/** A call of an operator that came too soon after others. */
export type LimitedCall = Omit<AuditedCall, 'status' | 'body'>;

/** A call that the roles of the sender do not allow. */
export interface RefusedCall extends Omit<AuditedCall, 'status' | 'body'> {
  /** what it would have needed */
  readonly note: string;
}

/**
 * Somebody without the right to it has tried something beside REST: a message over Kafka that is not believed, a direct
 * stream of a participant, a connection of a node.
 */
export interface RefusedAttempt {
  readonly event: 'refused-message' | 'refused-stream' | 'refused-node';
  /** what it was, such as a topic and an offset */
  readonly what: string;
  /** undefined where it came over a broker */
  readonly address?: string;
  readonly reason: string;
  readonly note?: string;
}

type RefusalEvent = 'refused-credential' | 'refused-call' | 'limited-call' | RefusedAttempt['event'];

/** What is written of one kind of refusal in the present second. */
interface RefusalWindow {
  since: number;
  count: number;
  /** by principal or address, of those that are written */
  readonly bySender: Map<string | undefined, number>;
  suppressed: number;
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
/**
 * Refusals of a kind that are written each second, of one sender and of all: who makes many hides no others. Of further
 * ones the next entry says how many there were.
 */
const REFUSALS_OF_ONE_PER_SECOND = 10;
const REFUSALS_PER_SECOND = 100;
/** at the end of an address: each connection has another */
const PORT = /:\d+$/;

/**
 * The audit: one JSON line for each call of an operator and for what was refused, in a file of its own and in the log.
 * The file is opened anew for each line, so it can be moved away at any time.
 */
export class AuditLog {
  private readonly windows = new Map<RefusalEvent, RefusalWindow>();

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
    const { reason, call, address } = entry;
    this.refusal('refused-credential', address, entry, `a credential from ${address} is refused at ${call}: ${reason}`);
  }

  refusedCall({ url, ...entry }: RefusedCall): void {
    const { principal = 'nobody in particular', call, address } = entry;
    const sentence = `${principal} from ${address} may not ${call}`;
    const shown = { ...entry, url: fitText(url, MAXIMUM_URL_LENGTH) };
    this.refusal('refused-call', principal, shown, sentence);
  }

  /** Its number is limited as those of refusals are: who sends too much does not fill the disk by it. */
  limitedCall({ url, ...entry }: LimitedCall): void {
    const { principal = 'nobody in particular', call, address } = entry;
    const shown = { ...entry, url: fitText(url, MAXIMUM_URL_LENGTH), status: 429 };
    this.refusal('limited-call', entry.principal ?? address, shown, `${principal}: ${call} from ${address}: 429`);
  }

  attempt({ event, ...entry }: RefusedAttempt): void {
    const { what, address, reason } = entry;
    const from = address === undefined ? '' : ` from ${address}`;
    this.refusal(
      event,
      address?.replace(PORT, ''),
      entry,
      `${fitText(what, MAXIMUM_URL_LENGTH)}${from} is refused: ${reason}`,
    );
  }

  /** @param sender principal or address; undefined: nobody knows */
  private refusal(
    event: RefusalEvent,
    sender: string | undefined,
    entry: { readonly note?: string | undefined; readonly address?: string },
    sentence: string,
  ): void {
    const window = this.windowOf(event);
    const ofSender = window.bySender.get(sender) ?? 0;
    if (window.count >= REFUSALS_PER_SECOND || ofSender >= REFUSALS_OF_ONE_PER_SECOND) {
      window.suppressed++;
      return;
    }
    window.count++;
    window.bySender.set(sender, ofSender + 1);
    const { suppressed } = window;
    window.suppressed = 0;
    this.write({ event, ...entry, ...(suppressed > 0 && { suppressed }) });
    const { note } = entry;
    const further = suppressed > 0 ? `; ${suppressed} more since the last such line` : '';
    const added = note === undefined ? '' : ` (${JSON.stringify(fitText(note, MAXIMUM_URL_LENGTH))})`;
    this.options.logger.warn(`AUDIT ${sentence}${added}${further}`);
  }

  private windowOf(event: RefusalEvent): RefusalWindow {
    const now = this.options.monotonic();
    let window = this.windows.get(event);
    if (!window) this.windows.set(event, (window = { since: now, count: 0, bySender: new Map(), suppressed: 0 }));
    if (now - window.since < 1_000) return window;
    window.since = now;
    window.count = 0;
    window.bySender.clear();
    return window;
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
