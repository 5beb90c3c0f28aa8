import { ABORT_REASONS, type AbortCause, type AbortReason } from '@concordat/commit-protocol';
import type {
  ExecuteRequest,
  Settlement,
  TransactionManager,
  TransactionsApi,
  TransactionView,
  CommitOptions,
  WaitOptions,
} from 'concordat/embedded';
import { InvalidArgumentError, UnknownNameError } from '../errors.js';
import { SwitchState, type Switch } from './switch.js';

/** Why the next transaction aborts. */
export interface AbortRequest {
  /** default `OPERATOR`, or `PARTICIPANT_REFUSED` with a participant */
  readonly reason?: AbortReason;
  /** only a transaction with a branch of it; the answer names it */
  readonly participant?: string;
  /** the code with which that participant refuses, such as `INSUFFICIENT_FUNDS` */
  readonly participantCode?: string;
  /** a sentence for the answer */
  readonly detail?: string;
}

/** For a transaction that may not be in the log yet. */
const LOOKS = 4;
const LOOK_EVERY_MS = 25;

interface Doom {
  readonly request: AbortRequest & { readonly reason: AbortReason };
  readonly state: SwitchState;
}

/** Stands before the transactions of a coordinator, and aborts one where its commit is requested. */
export class DoomedTransactions {
  private readonly dooms = new Set<Doom>();

  /** @throws UnknownNameError, InvalidArgumentError */
  add(request: AbortRequest): Switch {
    const { participant, participantCode } = request;
    if (participantCode !== undefined && participant === undefined) {
      throw new InvalidArgumentError('participantCode is what a participant says: name the participant as well');
    }
    const reason = request.reason ?? (participant === undefined ? 'OPERATOR' : 'PARTICIPANT_REFUSED');
    if (!ABORT_REASONS.includes(reason)) {
      throw new UnknownNameError(`no reason is called "${reason}"; there are: ${ABORT_REASONS.join(', ')}`);
    }
    const state = new SwitchState(() => this.dooms.delete(doom));
    const doom: Doom = { request: { ...request, reason }, state };
    this.dooms.add(doom);
    return state;
  }

  clear(): void {
    for (const { state } of this.dooms) state.off();
  }

  wrap(manager: TransactionManager): TransactionsApi {
    const replaced: Pick<TransactionsApi, 'commit' | 'execute'> = {
      commit: (transactionId, options) => this.commit(manager, transactionId, options),
      execute: (request, options) => this.execute(manager, request, options),
    };
    return new Proxy<TransactionsApi>(manager, {
      get: (target, name) => {
        if (name === 'commit' || name === 'execute') return replaced[name];
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  private async commit(manager: TransactionManager, id: string, options: CommitOptions): Promise<Settlement> {
    if (this.dooms.size === 0) return manager.commit(id, options);
    if (options.begin) await manager.begin({ ...options.begin, id }, options.access);
    for (const branch of options.branches ?? []) await manager.enlist(id, branch, undefined, options.access);
    const transaction = await this.logged(manager, id);
    const doom = transaction.status === 'active' ? this.take(transaction) : undefined;
    return doom ? manager.abort(id, options, causeFor(doom, transaction)) : manager.commit(id, options);
  }

  /** A transaction whose begin was deferred is in the log after a moment. */
  private async logged(manager: TransactionManager, id: string): Promise<TransactionView> {
    for (let attempt = 1; ; attempt++) {
      try {
        return (await manager.get(id, 'linearizable')).value;
      } catch (error) {
        if (attempt === LOOKS) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  /** As an interactive transaction, so that its abort can be decided before any work is sent. */
  private async execute(
    manager: TransactionManager,
    { branches, ...request }: ExecuteRequest,
    options: WaitOptions,
  ): Promise<Settlement> {
    const doom = this.take({ branches });
    if (!doom) return manager.execute({ branches, ...request }, options);
    const { id } = await manager.begin(request);
    try {
      for (const branch of branches) await manager.enlist(id, branch);
    } catch (error) {
      await manager.abort(id, options);
      throw error;
    }
    const { value: transaction } = await manager.get(id, 'linearizable');
    return manager.abort(id, options, causeFor(doom, transaction));
  }

  private take({ branches }: { readonly branches: readonly { readonly participant: string }[] }): Doom | undefined {
    for (const doom of this.dooms) {
      const { participant } = doom.request;
      if (participant !== undefined && !branches.some((branch) => branch.participant === participant)) continue;
      doom.state.off();
      doom.state.hit();
      return doom;
    }
    return undefined;
  }
}

function causeFor({ request }: Doom, { branches }: TransactionView): AbortCause {
  const { reason, participant, participantCode, detail = 'a test had this transaction aborted' } = request;
  const branch = branches.find((candidate) => candidate.participant === participant);
  return {
    reason,
    detail,
    ...(branch && { branchId: branch.branchId, participant: branch.participant }),
    ...(branch && participantCode !== undefined && { participantCode }),
  };
}
