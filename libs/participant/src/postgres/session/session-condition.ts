import { classifyFailure, worseFate, type SessionFate } from '../statements/failure-classes.js';

/**
 * The state of a connection while a branch has it: everything that failed on it, and what the branch left behind. It
 * only gets worse, and decides whether another branch may have the connection.
 */
export class SessionCondition {
  private worst: SessionFate = 'intact';
  private failure: unknown;
  private staleSchema = false;

  get fate(): SessionFate {
    return this.worst;
  }

  /** The last error of the connection, even if a handler caught it. */
  get lastFailure(): unknown {
    return this.failure;
  }

  /** A plan of the session was older than its tables; the other sessions have such plans, too. */
  get sawSchemaChange(): boolean {
    return this.staleSchema;
  }

  /** Records the failure of a statement. Settles as `answer` does. */
  async watch<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      this.failed(error);
      throw error;
    }
  }

  failed(error: unknown): void {
    this.failure = error;
    const { session, refusal } = classifyFailure(error);
    this.worst = worseFate(this.worst, session);
    this.staleSchema ||= refusal.code === 'SCHEMA_CHANGED';
  }

  worsen(fate: SessionFate): void {
    this.worst = worseFate(this.worst, fate);
  }
}
